"""The hands that make batches: threads within a process, and processes that grain starts."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing.connection import wait


class Threads:
    """A thread pool that each process makes for itself; 0 threads: the caller's own."""

    def __init__(self, most: int):
        self._most = most
        self._count = min(most, _cores())  # more than cores only wait for Python's lock
        self._pool = ThreadPoolExecutor(self._count) if most else None  # threads start when used

    def map(self, function: Callable, items: range) -> list:
        """The function of every item, in order."""
        if not self._pool:
            return [function(item) for item in items]
        ends = [len(items) * n // self._count for n in range(self._count + 1)]
        parts = [items[a:b] for a, b in pairwise(ends)]
        done = self._pool.map(lambda part: [function(item) for item in part], parts)
        return [result for part in done for result in part]

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def __reduce__(self):
        return Threads, (self._most,)


@contextmanager
def without_accelerator() -> Iterator[None]:
    """Processes that start in here see the CPU only; jax of this process has long been told."""
    before = os.environ.get("JAX_PLATFORMS")
    os.environ["JAX_PLATFORMS"] = "cpu"
    try:
        yield
    finally:
        if before is None:
            del os.environ["JAX_PLATFORMS"]
        else:
            os.environ["JAX_PLATFORMS"] = before


def prepare_worker(index: int, count: int) -> None:
    """Run in a new worker: Ctrl-C is the main process's to handle, and without it no one lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)  # a killed parent has told nobody to stop


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
