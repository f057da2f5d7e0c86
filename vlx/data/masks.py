"""What masked modelling hides: words of texts, blocks of image patches.

Draws and their results are apart, so that the same draws give the same mask anywhere.
Letters: T text length, G groups of positions, P patches.
"""

from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Protocol

import numpy as np

from vlx.data.choose import check
from vlx.errors import UserError

UNITS = ("word", "token", "count", "caption")
NO_GROUP = -1
ATTEMPTS = 10  # to place one block of patches; then the mask stays as it is


@dataclass(frozen=True)
class TextMaskConfig:
    """Which tokens are to be predicted, and what stands in their place.

    unit: "word" hides all pieces of a word or none, as many as `share` of the padded length; since
    padding is drawn as often as words, about that share of the real tokens is hidden, and at times
    none. "token" decides for every token by itself. "count" hides `share` of the tokens of every
    text, at least one. "caption" does so too, but the end is one of these tokens and can be hidden:
    a model that writes by filling in masks learns when to stop.
    """

    share: float = 0.15
    unit: str = "word"  # or "token", "count", "caption"
    hidden: float = 0.8  # of the tokens to be predicted: they become the mask token
    random: float = 0.1  # of them: they become any token of the vocabulary; the others stay

    def __post_init__(self):
        check(self.unit, UNITS, "data.text_mask.unit")
        for name in ("share", "hidden", "random"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"data.text_mask.{name}={getattr(self, name)} must be 0 to 1.")
        if self.hidden + self.random > 1:
            raise UserError(
                f"data.text_mask.hidden={self.hidden} and data.text_mask.random={self.random} are "
                "shares of the same tokens; together they must be at most 1."
            )


@dataclass(frozen=True)
class PatchMaskConfig:
    """How many patches are hidden, in blocks of which sizes and shapes."""

    patches: int = 75  # at most; of 14 x 14 it is 40 %
    smallest: int = 16  # patches of a block; the last blocks may have to be smaller
    largest: int = 0  # patches that a block may add; 0: as many as are still to be hidden
    aspect: tuple[float, float] = (0.3, 1 / 0.3)  # of height / width
    exact: bool = False  # single patches make up the number where no block fits

    def __post_init__(self):
        for name, least in (("patches", 1), ("smallest", 1), ("largest", 0)):
            if getattr(self, name) < least:
                raise UserError(
                    f"data.patch_mask.{name}={getattr(self, name)} must be {least} or more."
                )
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise UserError(
                f"data.patch_mask.aspect={self.aspect} must be two positive numbers in "
                "increasing order."
            )


def word_groups(candidate: np.ndarray, continues: np.ndarray) -> np.ndarray:
    """The number of each position's word, int [T]; `NO_GROUP` for what is no candidate.

    A candidate that continues a word joins the one before it, if there is one.
    """
    first = candidate & ~continues
    if candidate.any():
        first[np.argmax(candidate)] = True
    return np.where(candidate, np.cumsum(first) - 1, NO_GROUP)


def choose_words(groups: np.ndarray, order: np.ndarray, budget: int) -> np.ndarray:
    """The positions of the first groups in `order` [G] that fit into the budget: bool [T].

    A group that would exceed what is left of it is passed over.
    """
    sizes = np.bincount(groups[groups != NO_GROUP], minlength=len(order))
    chosen = np.zeros(len(order) + 1, bool)  # the last stands for no group
    for group in order:
        if budget <= 0:
            break
        if sizes[group] <= budget:
            chosen[group] = True
            budget -= sizes[group]
    return chosen[groups]


def word_budget(share: float, length: int) -> int:
    """How many of so many positions may be hidden; half rounds to even."""
    return max(1, round(share * length))


def choose_tokens(order: np.ndarray, budget: int, length: int) -> np.ndarray:
    """The first so many places in `order`: bool [T], T the length."""
    chosen = np.zeros(length, bool)
    chosen[order[:budget]] = True
    return chosen


def caption_budget(share: float, length: int) -> int:
    """How many of so many tokens, start and end included, are hidden; half rounds up.

    The start never is.
    """
    return max(1, min(int(share * length + 0.5), length - 1))


def replace_masked(
    ids: np.ndarray,
    masked: np.ndarray,
    hide: np.ndarray,
    swap: np.ndarray,
    words: np.ndarray,
    mask: int,
) -> np.ndarray:
    """Ids as a model reads them: where masked, the mask where `hide`, else `words` where `swap`.

    All are [T].
    """
    return np.where(masked & hide, mask, np.where(masked & swap, words, ids)).astype(ids.dtype)


class Draws(Protocol):
    """The methods of NumPy's generator that `patch_mask` calls."""

    def uniform(self, low: float, high: float) -> float: ...

    def integers(self, high: int) -> int: ...

    def choice(self, a: np.ndarray, size: int, replace: bool) -> np.ndarray: ...


def patch_mask(grid: tuple[int, int], config: PatchMaskConfig, draws: Draws) -> np.ndarray:
    """Blocks of hidden patches, bool [P], row after row of the grid (rows, columns).

    At most `config.patches` are hidden; fewer where no block could be placed any more, which on a
    grid of 14 x 14 happens to every third mask. As BEiT (arXiv 2106.08254), and with
    `config.exact` as BEiT v2 (arXiv 2208.06366).
    """
    mask, left = np.zeros(grid, bool), config.patches
    while left > 0:
        room = min(left, config.largest or left)
        added = next(filter(None, (_place(mask, room, config, draws) for _ in range(ATTEMPTS))), 0)
        if not added:
            break
        left -= added
    mask = mask.reshape(-1)
    if config.exact and left:
        mask[draws.choice(np.flatnonzero(~mask), left, replace=False)] = True
    return mask


def _place(mask: np.ndarray, room: int, config: PatchMaskConfig, draws: Draws) -> int:
    """Hides one block, if it fits and adds 1 to `room` patches; how many it adds."""
    rows, columns = mask.shape
    area = draws.uniform(*sorted((config.smallest, room)))
    aspect = exp(draws.uniform(*map(log, config.aspect)))
    height, width = round(sqrt(area * aspect)), round(sqrt(area / aspect))
    if height >= rows or width >= columns:
        return 0
    top, left = draws.integers(rows - height + 1), draws.integers(columns - width + 1)
    block = mask[top : top + height, left : left + width]
    added = height * width - int(block.sum())
    if not 0 < added <= room:
        return 0
    block[...] = True
    return added
