"""How captions are written."""

from dataclasses import dataclass

METHODS = ("greedy", "sample", "beam")
SCORES = ("log_probabilities", "raw_logits", "one_finished")


@dataclass(frozen=True)
class DecodeOptions:
    """How the next token is chosen, and when a text ends. Lengths include the start token.

    With `score="raw_logits"` beam search is that of open_clip's releases up to 3: it adds up
    logits that are not normalised, in `groups` that each search by themselves. With
    `score="one_finished"` it is that of BEiT-3's release: one finished text of each image is kept,
    whose length counts the start token and the place after the last word.
    """

    method: str = "greedy"
    max_length: int = 30  # of whole texts
    min_length: int = 0  # no end before
    temperature: float = 1.0  # of sampling, after the cut
    top_k: int = 0  # sample among so many; 0: all
    top_p: float = 1.0  # sample among the likeliest that together reach it
    repetition_penalty: float = 1.0  # above 1, tokens that were written become less likely
    no_repeat_ngram: int = 0  # no n tokens in a row are written twice; 0: may be
    beams: int = 4
    groups: int = 1
    length_penalty: float = 1.0  # exponent of the length that scores of beams are divided by
    score: str = "log_probabilities"
    window: int = 0  # read only so many of the last tokens, at each step anew; 0: all
    cache: bool = True  # keep keys and values of earlier tokens

    def __post_init__(self):
        for name, allowed in (("method", METHODS), ("score", SCORES)):
            if getattr(self, name) not in allowed:
                choices = ", ".join(allowed)
                raise ValueError(f"{name}={getattr(self, name)!r}: choose from {choices}.")
        if self.max_length < max(2, self.min_length + 1):
            raise ValueError(
                f"max_length={self.max_length} must exceed min_length={self.min_length} and 1."
            )
        if not 0 < self.top_p <= 1 or self.temperature <= 0 or self.repetition_penalty <= 0:
            raise ValueError("top_p lies in (0, 1]; temperature and repetition_penalty above 0.")
        if self.beams % self.groups or (self.groups > 1 and self.score != "raw_logits"):
            raise ValueError(
                f"beams={self.beams} must be a multiple of groups={self.groups}, and groups are "
                "for score='raw_logits'."
            )


@dataclass(frozen=True)
class Ids:
    """The special tokens."""

    start: int
    end: int
    pad: int = 0
