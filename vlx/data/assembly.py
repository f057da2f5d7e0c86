"""Batches by their number, as grain wants them.

An item is a batch and the bad records that were skipped for it, so that both come from a worker.
"""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from vlx.data.batch import Batch, Example, pad, stack
from vlx.data.order import Order, TrainingOrder
from vlx.data.records import Record, Source
from vlx.data.skipping import first_good
from vlx.data.workers import Threads
from vlx.errors import UserError

Problems = tuple[str, ...]
ENDLESS = 1 << 40  # batches


@dataclass(frozen=True)
class Failure:
    """A user's mistake on its way to the main process, around grain's own traces."""

    message: str


@dataclass(frozen=True)
class TrainingBatches:
    """Of every batch the rows of this host."""

    source: Source
    threads: Threads
    transform: Callable[[Record, np.random.Generator], Example]
    order: Order
    batch_size: int
    rows: range  # of the whole batch, those of this host
    start: int
    skip: bool  # a bad record gives its place to another

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, step: int) -> tuple[Batch, Problems] | Failure:
        first = self.start + step * self.batch_size
        places = range(first + self.rows.start, first + self.rows.stop)
        return _assemble(self, self._example, places)

    def _example(self, place: int) -> tuple[Example, Problems]:
        epoch, index = self.order.at(place)
        if not self.skip:
            return self._make(index, self.order.generator(epoch, index)), ()
        return first_good(lambda attempt: self._attempt(epoch, index, attempt))

    def _attempt(self, epoch: int, index: int, attempt: int) -> Example:
        if attempt:
            return self._make(*self.order.instead(epoch, index, attempt))
        return self._make(index, self.order.generator(epoch, index))

    def _make(self, index: int, rng: np.random.Generator) -> Example:
        with _naming(record := self.source[index], index):
            return self.transform(record, rng)


@dataclass(frozen=True)
class EvaluationBatches:
    """Every example once; all hosts have equally many batches, of equally many rows."""

    source: Source
    threads: Threads
    transform: Callable[[Record], Example]
    batch_size: int
    rows: range
    skip: bool  # a bad record becomes padding

    def __len__(self) -> int:
        return -(-len(self.source) // self.batch_size)

    def __getitem__(self, step: int) -> tuple[Batch, Problems] | Failure:
        first, length = step * self.batch_size, len(self.source)
        places = range(first + self.rows.start, min(first + self.rows.stop, length))
        # A host beyond the end still needs a batch of the right form: the last example, weight 0.
        made = _assemble(self, self._example, places or range(length - 1, length))
        if isinstance(made, Failure):
            return made
        batch, skipped = made
        if not places:
            batch["weight"][:] = 0
            skipped = ()  # the host that has the example counts it
        return pad(batch, len(self.rows)), skipped

    def _example(self, index: int) -> tuple[Example, Problems]:
        if not self.skip:
            return self._make(index), ()
        order = TrainingOrder(len(self.source), seed=0)  # for neighbours may be as bad
        example, problems = first_good(
            lambda attempt: self._make(order.at(attempt - 1)[1] if attempt else index)
        )
        if problems:
            example["weight"] = np.float32(0)
        return example, problems[:1]  # the others are bad examples of other places

    def _make(self, index: int) -> Example:
        with _naming(record := self.source[index], index):
            return self.transform(record)


def _assemble(
    batches: TrainingBatches | EvaluationBatches,
    example: Callable[[int], tuple[Example, Problems]],
    places: range,
) -> tuple[Batch, Problems] | Failure:
    try:
        made = batches.threads.map(example, places)
    except UserError as error:
        hint = "" if batches.skip else " To go on without such records: data.on_error='skip'."
        return Failure(f"{error}{hint}")
    examples, problems = zip(*made, strict=True)
    return stack(examples), tuple(problem for each in problems for problem in each)


@contextmanager
def _naming(record: Record, index: int):
    """A user's mistake in here is told with the record's file and row."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{record.get('id', f'record {index}')}: {error}") from error
