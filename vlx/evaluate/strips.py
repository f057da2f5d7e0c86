"""Rows against everything, a strip of rows at a time, on all devices.

What a strip makes has a column for every candidate, so it is never made for all rows at once. A
device's strip has the same rows whatever the number of devices, so that results are the same too.

Letters: N rows, C columns.
"""

from collections.abc import Callable, Hashable

import numpy as np
from jax.sharding import Mesh

from vlx.parallel.compiled import compiled
from vlx.parallel.mesh import BATCH_AXES, batch_sharding, place_whole, replicated

HELD = 1 << 24  # numbers that a device holds of a strip: 64 MiB
MOST = 1024  # rows of a strip; more would not be faster


def over_rows(
    function: Callable,
    rows: tuple[np.ndarray, ...],
    shared: tuple[np.ndarray, ...],
    columns: int,
    mesh: Mesh,
    **options: Hashable,
) -> np.ndarray:
    """function(*rows of a strip, *shared, **options), put together for all rows: [N, ...].

    rows: arrays [N, ...], the same in every process. shared: arrays that every device holds.
    columns: numbers that the function holds for a row, at most.
    """
    devices = np.prod([mesh.shape[name] for name in BATCH_AXES])
    size, count = _strip(len(rows[0]), columns) * devices, len(rows[0])
    shared = place_whole(shared, replicated(mesh))
    run, results = compiled(function, mesh, **options), []
    for start in range(0, count, size):
        strip = tuple(_filled(x[start : start + size], size) for x in rows)
        results.append(run(*place_whole(strip, batch_sharding(mesh)), *shared))
    return np.concatenate([np.asarray(x) for x in results])[:count]


def _strip(rows: int, columns: int) -> int:
    """Rows of a device's strip, a power of two."""
    fits = max(1, min(MOST, HELD // columns))
    return min(1 << (fits.bit_length() - 1), 1 << (rows - 1).bit_length())


def _filled(x: np.ndarray, size: int) -> np.ndarray:
    """The last strip is filled up with copies of its last row: another size would compile anew."""
    return x[np.minimum(np.arange(size), len(x) - 1)] if len(x) < size else x
