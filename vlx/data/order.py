"""Which example stands where in the endless sequence that training reads.

Everything follows from the seed and a place in the sequence, never from what was read before: so
a run continues anywhere, with any number of workers, hosts, and examples in a batch.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

_FEW = 1 << 16  # up to here the whole permutation is made at once
_ROUNDS = 6


class Order(Protocol):
    """What training asks of an order."""

    def at(self, place: int) -> tuple[int, int]:
        """Epoch and index of the example at `place`."""

    def generator(self, epoch: int, index: int) -> np.random.Generator:
        """The source of all that is drawn for an example in an epoch."""

    def instead(self, epoch: int, index: int, attempt: int) -> tuple[int, np.random.Generator]:
        """Another index for an example that cannot be read, and a generator for it."""


@dataclass(frozen=True)
class TrainingOrder:
    """Every epoch holds each of `length` examples once, in an order of its own."""

    length: int
    seed: int

    def at(self, place: int) -> tuple[int, int]:
        """No more work for longer data."""
        epoch, within = divmod(place, self.length)
        if self.length <= _FEW:
            return epoch, int(_permutation(self.length, self.seed, epoch)[within])
        return epoch, _permute(within, self.length, _keys(self.seed, epoch))

    def generator(self, epoch: int, index: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch, index)))

    def instead(self, epoch: int, index: int, attempt: int) -> tuple[int, np.random.Generator]:
        """Drawn from all: a neighbour may be as bad, or stand in the same batch."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(epoch, index, attempt))
        rng = np.random.default_rng(sequence)
        return int(rng.integers(self.length)), rng


@lru_cache(maxsize=128)  # a mixture reads several at once
def _permutation(length: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng(_sequence(seed, epoch)).permutation(length).astype(np.int32)


@lru_cache(maxsize=128)
def _keys(seed: int, epoch: int) -> tuple[int, ...]:
    return tuple(int(key) for key in _sequence(seed, epoch).generate_state(_ROUNDS, np.uint64))


def _sequence(seed: int, epoch: int) -> np.random.SeedSequence:
    """Not seed + epoch, for then the run of the next seed would repeat this one's epochs."""
    return np.random.SeedSequence(seed, spawn_key=(epoch,))


def _permute(index: int, length: int, keys: tuple[int, ...]) -> int:
    """Where a Feistel network sends `index`: one of 0..length-1, and no two to the same place.

    The network permutes 0..4**k-1 >= length; whoever lands beyond the end goes on, less than four
    times on average. (grain's index_shuffle repeats an index if length is 4**k + 1, k >= 8.)
    """
    half = ((length - 1).bit_length() + 1) // 2
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for key in keys:
            left, right = right, left ^ (_mix(right ^ key) & mask)
        index = left << half | right
        if index < length:
            return index


def _mix(x: int) -> int:
    """64 bits to 64 bits, each of which depends on all before it: splitmix64's middle."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    return x ^ (x >> 27)
