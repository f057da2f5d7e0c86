"""Caption metrics, equal to those of the COCO caption evaluation, without its Java."""

from collections.abc import Callable, Sequence

from vlx.config import nearest
from vlx.errors import UserError
from vlx.evaluate.captions.bleu import bleu, bleu_counts, bleu_from_counts
from vlx.evaluate.captions.cider import Frequencies, cider_d, frequencies
from vlx.evaluate.captions.intervals import caption_intervals
from vlx.evaluate.captions.java import meteor, spice
from vlx.evaluate.captions.ptb import tokenize
from vlx.evaluate.captions.rouge import rouge_l
from vlx.evaluate.captions.score import References, Score

__all__ = [
    "DEFAULT",
    "METRICS",
    "Frequencies",
    "Score",
    "bleu_counts",
    "bleu_from_counts",
    "caption_intervals",
    "cider_d",
    "frequencies",
    "score_captions",
    "score_tokenized",
    "tokenize",
]

METRICS: dict[str, Callable[[Sequence[str], References], dict[str, Score]]] = {
    "bleu": bleu,
    "rouge_l": rouge_l,
    "cider_d": cider_d,
    "meteor": meteor,
    "spice": spice,
}
DEFAULT = ("bleu", "rouge_l", "cider_d")  # what needs no Java


def score_captions(
    candidates: Sequence[str], references: References, names: Sequence[str] = DEFAULT
) -> dict[str, Score]:
    """Scores one caption an image against several references each, all as they were written.

    Values lie between 0 and 1, those of CIDEr-D between 0 and 10. Raises UserError for an unknown
    metric, for captions that are not one an image, and for an image without references.
    """
    _check(candidates, references, names)
    words = iter(tokenize([text for texts in references for text in texts]))
    tokenized = [[next(words) for _ in texts] for texts in references]
    return score_tokenized(tokenize(candidates), tokenized, names)


def score_tokenized(
    candidates: Sequence[str], references: References, names: Sequence[str] = DEFAULT
) -> dict[str, Score]:
    """As `score_captions`, of texts in which tokens are separated by single spaces."""
    _check(candidates, references, names)
    return {
        metric: score
        for name in names
        for metric, score in METRICS[name](candidates, references).items()
    }


def _check(candidates: Sequence[str], references: References, names: Sequence[str]) -> None:
    for name in names:
        if name not in METRICS:
            raise UserError(f"No caption metric is called {name!r}; {nearest(name, METRICS)}")
    if not candidates or len(candidates) != len(references):
        raise UserError(
            f"There are {len(candidates)} captions for the references of {len(references)} images; "
            "give one caption for each image."
        )
    for image, texts in enumerate(references):
        if not texts:
            raise UserError(
                f"Image {image} has no reference to compare its caption with; give one, or "
                "leave the image out."
            )
