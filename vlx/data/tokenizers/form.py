"""The form that all tokenizers have.

Letters: T text length.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Tokenizer(Protocol):
    """What models and data ask of a tokenizer; it can be pickled, for processes to share.

    A vocabulary without a mask token raises UserError when `mask` is read, and need not have what
    stands beside it.
    """

    vocab_size: int
    pad: int
    start: int
    end: int
    mask: int  # stands for a token that is to be predicted
    specials: tuple[int, ...]  # ids that are no part of any word: the four above and the unknown

    def encode(self, text: str, length: int) -> np.ndarray:
        """Ids, int32 [T]: start, pieces, end, padding; too long a text loses its last pieces."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids up to the first end."""

    def continues(self, ids: np.ndarray) -> np.ndarray:
        """True for ids that go on with the word before them, bool, shaped as `ids`."""


def frame(tokenizer: Tokenizer, pieces: Sequence[int], length: int) -> np.ndarray:
    """Ids of pieces between start and end, cut or padded to the length: int32 [T]."""
    pieces = pieces[: length - 2]
    ids = np.full(length, tokenizer.pad, np.int32)
    ids[: len(pieces) + 2] = [tokenizer.start, *pieces, tokenizer.end]
    return ids


def before_end(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """The ids up to the first end, which are all if none stands there."""
    ids = [int(i) for i in ids]
    return ids[: ids.index(tokenizer.end)] if tokenizer.end in ids else ids


def tidy(text: str) -> str:
    """The text without the spaces that joining words puts before punctuation, as transformers does.

    So models are compared on captions that are alike.
    """
    for mark in (".", "?", "!", ","):
        text = text.replace(f" {mark}", mark)
    text = text.replace(" ' ", "'")
    for ending in ("n't", "'m", "'s", "'ve", "'re"):
        text = text.replace(f" {ending}", ending)
    return text
