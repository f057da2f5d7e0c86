"""Batches, made ahead by threads and worker processes.

An item of grain's dataset is a whole batch, so that slicing it among workers keeps batches as they
are; within a process, threads share the examples of a batch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import grain
import numpy as np
from absl import flags

from vlx.data.batch import Batch, Example, pad, stack
from vlx.data.config import DataConfig
from vlx.data.order import TrainingOrder
from vlx.data.records import Record, Source
from vlx.data.workers import Threads, prepare_worker, without_accelerator
from vlx.errors import UserError

_ENDLESS = 1 << 40  # batches


def train_batches(
    source: Source,
    transform: Callable[[Record, np.random.Generator], Example],
    batch_size: int,
    seed: int,
    config: DataConfig,
    start_example: int = 0,
    host: int = 0,
    hosts: int = 1,
) -> "Batches":
    """Endless batches from the example `start_example` of the run on.

    `batch_size` is that of all hosts together; a host gets its share of every batch's rows.
    """
    rows = _rows(batch_size, host, hosts)
    order = TrainingOrder(len(source), seed)
    batches = _TrainingBatches(
        source, Threads(config.threads), transform, order, batch_size, rows, start_example
    )
    return Batches(batches, config, config.workers, start_example, batch_size)


def evaluation_batches(
    source: Source,
    transform: Callable[[Record], Example],
    batch_size: int,
    config: DataConfig,
    host: int = 0,
    hosts: int = 1,
) -> "Batches":
    """Every example once, in order; the last batch is padded, alike on all hosts.

    Workers would start anew for every evaluation, which costs seconds: threads only.
    """
    rows = _rows(batch_size, host, hosts)
    batches = _EvaluationBatches(source, Threads(config.threads), transform, batch_size, rows)
    return Batches(batches, config, 0, 0, batch_size)


class Batches(Iterator[Batch]):
    """An iterator over batches; close it, or use it in a `with`, so that its workers end.

    `position` is the number of the run's examples that have been given out, over all hosts: the
    one number that `train_batches(start_example=...)` needs to continue.
    """

    def __init__(self, batches, config: DataConfig, workers: int, position: int, batch_size: int):
        self.position = position
        self._batch_size = batch_size
        self._threads = batches.threads
        self._workers = workers
        self._drawn = 0
        reading = grain.ReadOptions(
            num_threads=config.prefetch, prefetch_buffer_size=config.prefetch
        )
        dataset = grain.MapDataset.source(batches).to_iter_dataset(reading)
        if workers:
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()  # grain reads its own flags when workers start
            processes = grain.MultiprocessingOptions(
                num_workers=workers, per_worker_buffer_size=max(1, config.prefetch)
            )
            dataset = dataset.mp_prefetch(processes, worker_init_fn=prepare_worker)
        self._batches = iter(dataset)

    def __next__(self) -> Batch:
        batch = self._draw()
        if isinstance(batch, _Failure):
            self.close()
            raise UserError(batch.message)
        self.position += self._batch_size
        return batch

    def _draw(self) -> "Batch | _Failure":
        with without_accelerator() if self._drawn < self._workers else nullcontext():
            batch = next(self._batches)
        self._drawn += 1
        return batch

    def close(self) -> None:
        self._batches.close()
        self._threads.close()

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *_) -> None:
        self.close()


@dataclass(frozen=True)
class _TrainingBatches:
    """Batches by random access, as grain wants them."""

    source: Source
    threads: Threads
    transform: Callable[[Record, np.random.Generator], Example]
    order: TrainingOrder
    batch_size: int
    rows: range  # of the whole batch, those of this host
    start: int

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, step: int) -> "Batch | _Failure":
        first = self.start + step * self.batch_size
        places = range(first + self.rows.start, first + self.rows.stop)
        return _batch(self.threads, self._example, places)

    def _example(self, place: int) -> Example:
        epoch, index = self.order.at(place)
        with _naming(record := self.source[index], index):
            return self.transform(record, self.order.generator(epoch, index))


@dataclass(frozen=True)
class _EvaluationBatches:
    source: Source
    threads: Threads
    transform: Callable[[Record], Example]
    batch_size: int
    rows: range

    def __len__(self) -> int:
        return -(-len(self.source) // self.batch_size)

    def __getitem__(self, step: int) -> "Batch | _Failure":
        first, length = step * self.batch_size, len(self.source)
        places = range(first + self.rows.start, min(first + self.rows.stop, length))
        # A host beyond the end still needs a batch of the right form: the last example, weight 0.
        batch = _batch(self.threads, self._example, places or range(length - 1, length))
        if isinstance(batch, _Failure):
            return batch
        if not places:
            batch["weight"][:] = 0
        return pad(batch, len(self.rows))

    def _example(self, index: int) -> Example:
        with _naming(record := self.source[index], index):
            return self.transform(record)


@dataclass(frozen=True)
class _Failure:
    """A user's mistake on its way to the main process, around grain's own traces."""

    message: str


def _batch(threads: Threads, example: Callable[[int], Example], places: range):
    try:
        return stack(threads.map(example, places))
    except UserError as error:
        return _Failure(str(error))


@contextmanager
def _naming(record: Record, index: int):
    """A user's mistake in here is told with the record's file and row."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{record.get('id', f'record {index}')}: {error}") from error


def _rows(batch_size: int, host: int, hosts: int) -> range:
    """The rows of every batch that a host makes."""
    if batch_size < 1 or batch_size % hosts:
        near = max(hosts, batch_size // hosts * hosts)
        raise UserError(
            f"batch.size={batch_size} does not divide over {hosts} hosts; "
            f"{near} or {near + hosts} would."
        )
    share = batch_size // hosts
    return range(host * share, (host + 1) * share)
