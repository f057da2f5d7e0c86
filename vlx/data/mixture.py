"""Several sources at once, each with its share of the examples.

A place in the sequence of training leads to a part and to a place among that part's examples, by
arithmetic alone: the position of a run stays one number.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm

import numpy as np

from vlx.data.order import TrainingOrder
from vlx.data.records import Record, Source, annotation, answer_names, available, tokenizer_texts

LONGEST = 1_000_000  # places after which the parts' order repeats; shares are exact to one of it


class MixtureSource:
    """All records of all parts, one part after the other; training reads them in `order`.

    Labels are kept where all parts have the same class names.
    """

    def __init__(self, sources: list[Source], weights: list[float]):
        self._sources, self._weights = sources, weights
        self._starts = np.cumsum([0] + [len(source) for source in sources])
        first = sources[0].class_names
        self.class_names = first if all(s.class_names == first for s in sources) else ()
        names = [answer_names(source) for source in sources]
        known = dict.fromkeys(name for part in names for name in part)
        self.answer_names = tuple(known) if all(names) else ()
        self.available = sum(map(available, sources))

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Record:
        source, index = self._find(index)
        return self._comparable(source[index])

    def annotation(self, index: int) -> Record:
        return self._comparable(annotation(*self._find(index)))

    def captions(self, index: int) -> tuple[str, ...]:
        return tokenizer_texts(*self._find(index))

    def order(self, seed: int) -> "MixtureOrder":
        orders = [
            TrainingOrder(len(source), _part_seed(seed, part))
            for part, source in enumerate(self._sources)
        ]
        return MixtureOrder(tuple(orders), self._starts, *interleave(self._weights))

    def _comparable(self, record: Record) -> Record:
        if not self.class_names:
            record.pop("label", None)
        return record

    def _find(self, index: int) -> tuple[Source, int]:
        part = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._sources[part], index - int(self._starts[part])


@dataclass(frozen=True)
class MixtureOrder:
    """Every part passes through epochs of its own, each in an order of its own."""

    orders: tuple[TrainingOrder, ...]
    starts: np.ndarray  # of the parts among all records
    parts: np.ndarray  # of each place; repeats without end
    ranks: np.ndarray  # how many places before it, in one round, are of the same part

    def at(self, place: int) -> tuple[int, int]:
        round_, within = divmod(place, len(self.parts))
        part = int(self.parts[within])
        of_part = round_ * self._counts[part] + int(self.ranks[within])
        epoch, index = self.orders[part].at(of_part)
        return epoch, int(self.starts[part]) + index

    def generator(self, epoch: int, index: int) -> np.random.Generator:
        part, index = self._find(index)
        return self.orders[part].generator(epoch, index)

    def instead(self, epoch: int, index: int, attempt: int) -> tuple[int, np.random.Generator]:
        """Of the same part, so that shares stay."""
        part, index = self._find(index)
        index, rng = self.orders[part].instead(epoch, index, attempt)
        return int(self.starts[part]) + index, rng

    @cached_property
    def _counts(self) -> list[int]:
        return np.bincount(self.parts, minlength=len(self.orders)).tolist()

    def _find(self, index: int) -> tuple[int, int]:
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        return part, index - int(self.starts[part])


def interleave(weights: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """For each place of a round its part, and its rank among that part's places.

    At any place a part has had its share of the places up to there, but for one or two.
    """
    counts = _whole_numbers(weights)
    times = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
    parts = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    ranks = np.concatenate([np.arange(count, dtype=np.int32) for count in counts])
    order = np.argsort(times, kind="stable")
    return parts[order], ranks[order]


def _whole_numbers(weights: list[float]) -> list[int]:
    """The smallest numbers in the ratio of the weights as they are written; at most `LONGEST`."""
    exact = [Fraction(str(weight)) for weight in weights]
    scale = lcm(*(weight.denominator for weight in exact))
    counts = [int(weight * scale) for weight in exact]
    total, common = sum(counts), gcd(*counts)
    if total // common <= LONGEST:
        return [count // common for count in counts]
    return [max(1, count * LONGEST // total) for count in counts]


def _part_seed(seed: int, part: int) -> int:
    """Parts of equal length must not share their orders."""
    sequence = np.random.SeedSequence(seed, spawn_key=(part, 0, 0, 0))
    return int(sequence.generate_state(1, np.uint64)[0])
