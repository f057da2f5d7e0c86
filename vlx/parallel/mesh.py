"""Devices in a grid, and where batches lie on it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vlx.errors import UserError

AXES = ("data", "fsdp", "tensor")
BATCH_AXES = ("data", "fsdp")  # the batch is cut along both: fsdp devices also compute


@dataclass(frozen=True)
class MeshConfig:
    """Devices along each axis; -1 is as many as are left."""

    data: int = -1  # copies of the parameters
    fsdp: int = 1  # pieces of the parameters, gathered when needed
    tensor: int = 1  # pieces of heads and hidden units


def make_mesh(c: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh of the devices, by default of all. Raises UserError with sizes that would fit."""
    devices = jax.devices() if devices is None else devices
    sizes = {name: getattr(c, name) for name in AXES}
    free = [name for name, size in sizes.items() if size == -1]
    fixed = math.prod(size for size in sizes.values() if size != -1)
    wrong = [name for name, size in sizes.items() if size < 1 and size != -1]
    if wrong or len(free) > 1 or fixed < 1:
        raise UserError(f"mesh={sizes}: sizes must be positive, and at most one of them -1.")
    if len(devices) % fixed or (not free and fixed != len(devices)):
        hint = f"mesh.data=-1 with fsdp * tensor a divisor of {len(devices)} fits any machine"
        raise UserError(f"mesh={sizes} does not fit {len(devices)} devices; {hint}.")
    for name in free:
        sizes[name] = len(devices) // fixed
    grid = np.asarray(devices).reshape([sizes[name] for name in AXES])
    return Mesh(grid, AXES)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows of a batch over all devices that hold different rows."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def place_rows(tree: Any, mesh: Mesh) -> Any:
    """A process's rows of NumPy arrays as parts of arrays over all devices, cut along the batch."""
    put = partial(jax.make_array_from_process_local_data, batch_sharding(mesh))
    return jax.tree.map(put, tree)


def place_whole(tree: Any, sharding: NamedSharding) -> Any:
    """NumPy arrays that every process holds whole, laid over the devices.

    Unlike `jax.device_put` it does not send them around to compare them, in which NaN would differ.
    """

    def place(x):
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    return jax.tree.map(place, tree)


def check_batch(size: int, micro_batches: int, mesh: Mesh, key: str = "batch.size") -> None:
    """Refuses a batch that does not cut into equal pieces for all devices."""
    rows = math.prod(mesh.shape[name] for name in BATCH_AXES)
    unit = rows * micro_batches
    if size < 1 or size % unit:
        low = size // unit * unit
        fits = f"{low} or {low + unit}" if low > 0 else f"{unit}"
        parts = f"{rows} devices" + (f" and {micro_batches} micro-batches" * (micro_batches > 1))
        raise UserError(f"{key}={size} does not divide over {parts}; {fits} would.")
