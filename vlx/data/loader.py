"""Batches, made ahead by threads and worker processes.

An item of grain's dataset is a whole batch, so that slicing it among workers keeps batches as they
are; within a process, threads share the examples of a batch.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext

import grain
import numpy as np
from absl import flags

from vlx.data.assembly import EvaluationBatches, Failure, TrainingBatches
from vlx.data.batch import Batch, Example
from vlx.data.config import DataConfig
from vlx.data.order import TrainingOrder
from vlx.data.records import Record, Source
from vlx.data.skipping import SkipLog
from vlx.data.workers import Threads, prepare_worker, without_accelerator
from vlx.errors import UserError


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
    order_of = getattr(source, "order", None)
    batches = TrainingBatches(
        source,
        Threads(config.threads),
        transform,
        order_of(seed) if order_of else TrainingOrder(len(source), seed),
        batch_size,
        rows,
        start_example,
        config.on_error == "skip",
    )
    return Batches(batches, config, config.workers, start_example, batch_size)


def evaluation_batches(
    source: Source,
    transform: Callable[[Record], Example],
    batch_size: int,
    config: DataConfig,
    host: int = 0,
    hosts: int = 1,
    workers: int = 0,
) -> "Batches":
    """Every example once, in order; the last batch is padded, alike on all hosts.

    workers: processes, in place of `data.workers`; they take seconds to start, which short
    evaluations would pay every time.
    """
    rows, skip = _rows(batch_size, host, hosts), config.on_error == "skip"
    threads = Threads(config.threads)
    batches = EvaluationBatches(source, threads, transform, batch_size, rows, skip)
    return Batches(batches, config, workers, 0, batch_size)


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
        self._skips = SkipLog()
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

    @property
    def skipped(self) -> int:
        """Bad records that this host's batches, as far as given out, had to do without."""
        return self._skips.count

    def __next__(self) -> Batch:
        made = self._draw()
        if isinstance(made, Failure):
            self.close()
            raise UserError(made.message)
        batch, skipped = made
        self._skips.add(skipped)
        self.position += self._batch_size
        return batch

    def _draw(self):
        with without_accelerator() if self._drawn < self._workers else nullcontext():
            made = next(self._batches)
        self._drawn += 1
        return made

    def close(self) -> None:
        self._batches.close()
        self._threads.close()

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *_) -> None:
        self.close()


class Together(Iterator[Batch]):
    """Batches of several groups side by side: {name: batch of the group}.

    `position` counts the examples of all groups, which advance together.
    """

    def __init__(self, groups: Mapping[str, Batches]):
        self._groups = groups

    @property
    def position(self) -> int:
        return sum(batches.position for batches in self._groups.values())

    @property
    def skipped(self) -> int:
        """Bad records that this host's batches, as far as given out, had to do without."""
        return sum(batches.skipped for batches in self._groups.values())

    def __next__(self) -> Batch:
        return {name: next(batches) for name, batches in self._groups.items()}

    def __enter__(self) -> "Together":
        return self

    def __exit__(self, *_) -> None:
        for batches in self._groups.values():
            batches.close()


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
