"""The fields of an example, beside its pictures: made only if a task asks for them.

Letters: T text length, P patches, A answers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vlx.data.answer_vocabulary import Answers
from vlx.data.batch import Example
from vlx.data.config import DataConfig
from vlx.data.masks import (
    TextMaskConfig,
    caption_budget,
    choose_tokens,
    choose_words,
    patch_mask,
    replace_masked,
    word_budget,
    word_groups,
)
from vlx.data.records import Record
from vlx.data.tokenizers import Tokenizer
from vlx.errors import UserError

MASKED_TEXT = ("masked_text", "masked")
TEXT = ("text", "text_mask", *MASKED_TEXT)
PICTURE = ("image", "target_image")
LABELS = {
    "label": "label",
    "answer_scores": "answers",
    "label_map": "label_map",
}  # field -> key of the record
_REMEDIES = {  # key of a record -> what it is called, and what gives it one
    "image": ("image", "take data with pictures"),
    "second_image": ("second image", "take data of pairs, or set data.second_image_column"),
    "captions": ("text", "set data.text_column"),
    "label": ("label", "set data.label_column"),
    "answers": ("answers", "set data.answers_column"),
    "label_map": ("label map", "take data that have them, such as data.source='ade20k'"),
}


@dataclass(frozen=True)
class Wanted:
    """What a task asks for of every example, and what is needed to make it."""

    fields: tuple[str, ...] = ("image", "text", "text_mask", "weight")
    grid: tuple[int, int] | None = None  # of patches, rows and columns; for patch_mask
    answers: Answers | None = None  # for answer_scores

    def any(self, names: Iterable[str]) -> bool:
        return any(name in self.fields for name in names)

    def labels_of(self, record: Record) -> "Wanted":
        """The same without labels that the record has not: test splits keep theirs secret."""
        missing = [field for field, key in LABELS.items() if key not in record]
        return replace(self, fields=tuple(f for f in self.fields if f not in missing))

    def check(self, config: DataConfig, tokenizer: Tokenizer | None) -> None:
        """Refuses, before any record is read, what cannot be made."""
        if self.any(MASKED_TEXT):
            _ = tokenizer.mask  # which raises where there is none
        if "target_image" in self.fields and not config.target_size:
            raise UserError("data.target_size=0, but the task reads second views; set their side.")
        if "patch_mask" not in self.fields:
            return
        patches, most = config.patch_mask.patches, self.grid[0] * self.grid[1]
        if patches >= most:
            raise UserError(
                f"data.patch_mask.patches={patches} would leave nothing of {self.grid[0]} x "
                f"{self.grid[1]} patches; {round(0.4 * most)} are 40 %."
            )


def training_fields(fields: tuple[str, ...], config: DataConfig) -> tuple[str, ...]:
    """Of a task's fields those that training makes: codes that there are need no second view."""
    if not config.codes:
        return fields
    return tuple("codes" if name == "target_image" else name for name in fields)


def given(record: Record, key: str) -> Any:
    """What the record holds under `key`. Raises UserError if that is nothing."""
    value = record.get(key)
    if value is None or (key in ("captions", "answers") and not value):
        name, remedy = _REMEDIES[key]
        raise UserError(f"the record has no {name}, which the task needs; {remedy}.")
    return value


def text_fields(
    ids: np.ndarray,
    wanted: Wanted,
    tokenizer: Tokenizer,
    config: TextMaskConfig,
    rng: np.random.Generator | None,
) -> Example:
    """Of a text's ids [T]: text, text_mask, and if wanted masked_text and masked.

    The generator is asked only for the latter.
    """
    fields = {"text": ids, "text_mask": ids != tokenizer.pad}
    if wanted.any(MASKED_TEXT):
        fields["masked_text"], fields["masked"] = mask_text(ids, tokenizer, config, rng)
    return fields


def mask_text(
    ids: np.ndarray, tokenizer: Tokenizer, config: TextMaskConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Ids as a model reads them, int32 [T], and where it predicts the old ones, bool [T].

    In order: the words or tokens, what happens to each, random tokens.
    """
    masked = maskable(ids, tokenizer, config.unit)
    if config.unit == "word":
        groups = word_groups(word_candidates(ids, tokenizer), tokenizer.continues(ids))
        order = rng.permutation(groups.max(initial=-1) + 1)
        masked &= choose_words(groups, order, word_budget(config.share, len(ids)))
    elif config.unit == "token":
        masked &= rng.random(len(ids)) < config.share
    else:
        order = rng.permutation(np.flatnonzero(masked))
        masked = choose_tokens(order, token_budget(config, len(order)), len(ids))
    draw, words = rng.random(len(ids)), _swaps(len(ids), tokenizer, config.unit, rng)
    hide, swap = draw < config.hidden, draw < config.hidden + config.random
    return replace_masked(ids, masked, hide, swap, words, tokenizer.mask), masked


def word_candidates(ids: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """What whole-word masking draws from, bool [T]: all but start and end, also padding.

    So it is in the published recipes, whose budget also counts padding.
    """
    return ~np.isin(ids, (tokenizer.start, tokenizer.end))


def maskable(ids: np.ndarray, tokenizer: Tokenizer, unit: str) -> np.ndarray:
    """What may be predicted, bool [T].

    By words or by count, unknown ones and masks in the text may not; of captions the end may.
    """
    framing = (tokenizer.pad, tokenizer.start, tokenizer.end)
    hidden = {"word": tokenizer.specials, "count": tokenizer.specials, "caption": framing[:2]}
    return ~np.isin(ids, hidden.get(unit, framing))


def token_budget(config: TextMaskConfig, candidates: int) -> int:
    """How many of so many candidates are to be predicted, by count or of a caption."""
    if config.unit == "caption":
        return caption_budget(config.share, candidates + 1)
    return word_budget(config.share, candidates)


def other_fields(
    record: Record, wanted: Wanted, config: DataConfig, rng: np.random.Generator | None
) -> Example:
    """weight, and if wanted patch_mask, label and answer_scores."""
    fields: Example = {"weight": np.float32(1)}
    if "patch_mask" in wanted.fields:
        fields["patch_mask"] = patch_mask(wanted.grid, config.patch_mask, rng)
    if "label" in wanted.fields:
        fields["label"] = np.int32(given(record, "label"))
    if "answer_scores" in wanted.fields:
        fields["answer_scores"] = wanted.answers.scores(given(record, "answers"))
    return fields


def _swaps(length: int, tokenizer: Tokenizer, unit: str, rng: np.random.Generator) -> np.ndarray:
    """Random tokens, int [T]: any, but by count and of captions no start, end or padding."""
    left_out = []
    if unit in ("count", "caption"):
        left_out = sorted((tokenizer.pad, tokenizer.start, tokenizer.end))
    words = rng.integers(tokenizer.vocab_size - len(left_out), size=length)
    for token in left_out:
        words += words >= token
    return words
