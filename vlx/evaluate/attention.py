"""Word by word, what a model reads of the image.

Letters: B texts, T text length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vlx.data import Source, Tokenizer
from vlx.evaluate.context import Context
from vlx.parallel.mesh import place_whole, replicated

READINGS = 4  # captions that are looked at


@dataclass(frozen=True)
class Reading:
    """A text about an example, and what was read before each of its words was written."""

    index: int
    words: list[str]
    shares: list[list[list[float]]]  # of the patches: for each word, rows of columns


def read_words(
    context: Context, params: Any, source: Source, texts: Sequence[tuple[int, str]]
) -> list[Reading]:
    """Readings of texts, each with the place of its image in the source."""
    setup = context.setup
    tokenizer, length = setup.tokenizer, setup.config.tokenizer.length
    image = np.stack([setup.transforms[1](source[index])["image"] for index, _ in texts])
    ids = np.stack([tokenizer.encode(text, length) for _, text in texts])
    placed = place_whole((image, ids), replicated(setup.mesh))
    shares = np.asarray(context.attended(params, *placed))
    return [
        Reading(index, *by_word(tokenizer, row, share))
        for (index, _), row, share in zip(texts, ids, shares, strict=True)
    ]


def by_word(tokenizer: Tokenizer, ids: np.ndarray, shares: np.ndarray) -> tuple[list, list]:
    """Words of a text [T], and the mean over the tokens of each of the shares [T, ...] read.

    What is read at a token decides the next, so a token's shares stand one place before it.
    """
    words = tokenizer.decode(ids).split()
    found: list[list[np.ndarray]] = [[] for _ in words]
    for place in range(1, len(ids)):
        if ids[place] in (tokenizer.end, tokenizer.pad):
            break
        begun = len(tokenizer.decode(ids[1 : place + 1]).split())
        if 0 < begun <= len(words):
            found[begun - 1].append(shares[place - 1])
    pairs = [(word, own) for word, own in zip(words, found, strict=True) if own]
    means = [np.mean(own, axis=0).round(5).tolist() for _, own in pairs]
    return [word for word, _ in pairs], means
