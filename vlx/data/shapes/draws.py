"""Random numbers by key: equal keys give equal numbers, whoever asked for what before."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Draws:
    """A stream of uniform numbers for one purpose of one scene.

    Every choice is made from doubles in [0, 1) drawn in blocks: single draws by NumPy are slow.
    """

    def __init__(self, *key: int):
        self._next = chain.from_iterable(_blocks(key)).__next__

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * self._next()

    def chance(self, probability: float) -> bool:
        return self._next() < probability

    def below(self, count: int) -> int:
        """One of 0 .. count - 1."""
        return int(self._next() * count)

    def choose(self, items: Sequence[T]) -> T:
        return items[int(self._next() * len(items))]

    def shuffle(self, items: Sequence[T]) -> list[T]:
        """The items in random order."""
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = int(self._next() * (i + 1))
            items[i], items[j] = items[j], items[i]
        return items


def _blocks(key: tuple[int, ...]) -> Iterator[list[float]]:
    generator = np.random.default_rng(np.random.SeedSequence(key))
    while True:
        yield generator.random(128).tolist()
