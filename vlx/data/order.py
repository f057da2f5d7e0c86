"""Which example stands where in the endless sequence that training reads.

Everything follows from the seed and a place in the sequence, never from what was read before: so
a run continues anywhere, with any number of workers, hosts, and examples in a batch.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from grain.experimental import index_shuffle

from vlx.errors import UserError

_MOST = 1 << 32  # grain's permutation counts in 32 bits
_FEW = 1 << 16  # up to here a whole permutation is small, and sooner made than grain's single places


@dataclass(frozen=True)
class TrainingOrder:
    """Every epoch holds each of `length` examples once, in an order of its own."""

    length: int
    seed: int

    def __post_init__(self):
        if self.length > _MOST:
            raise UserError(
                f"the training data have {self.length} examples; at most {_MOST} can be shuffled."
            )

    def at(self, place: int) -> tuple[int, int]:
        """Epoch and index of the example at `place`; no more work for longer data."""
        epoch, within = divmod(place, self.length)
        if self.length <= _FEW:
            return epoch, int(_permutation(self.length, self.seed, epoch)[within])
        seed = _epoch_seed(self.seed, epoch)
        return epoch, index_shuffle(within, max_index=self.length - 1, seed=seed, rounds=4)

    def generator(self, epoch: int, index: int) -> np.random.Generator:
        """The source of all that is drawn for an example in an epoch."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch, index)))


@lru_cache(maxsize=16)
def _permutation(length: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng(_epoch_seed(seed, epoch)).permutation(length).astype(np.int32)


@lru_cache(maxsize=64)
def _epoch_seed(seed: int, epoch: int) -> int:
    """32 bits; not seed + epoch, for then the run of the next seed would repeat this one's."""
    return int(np.random.SeedSequence(seed, spawn_key=(epoch,)).generate_state(1)[0])
