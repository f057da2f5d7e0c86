"""Communication chosen by hand: work on the rows that each device holds.

vlx is written for the global batch and lets the compiler cut it. These few functions are for losses
that compare all rows with all others, where the compiler would hold too much. Without a mesh in
context (`jax.set_mesh`) there is one device, and they are the identity.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vlx.parallel.mesh import BATCH_AXES

Array = jax.Array
Tree = Any


def devices() -> int:
    """Devices of the mesh in context that hold different rows of a batch."""
    shape = dict(jax.sharding.get_abstract_mesh().shape)
    count = 1
    for name in BATCH_AXES:
        count *= shape.get(name, 1)
    return count


def sum_over_devices(function: Callable[..., Tree], rows: Tree, shared: Tree) -> Tree:
    """The sum over devices of function(rows of the device, shared).

    rows: arrays [B, ...], cut along the batch; shared: alike on all devices. `function` may call
    `gather` and `rotate`. Rows that the devices do not divide are an error of shard_map.
    """
    if devices() == 1:
        return function(rows, shared)

    def local(rows, shared):
        return jax.lax.psum(function(rows, shared), BATCH_AXES)

    specs = PartitionSpec(BATCH_AXES), PartitionSpec()
    return jax.shard_map(local, in_specs=specs, out_specs=PartitionSpec())(rows, shared)


def map_rows(function: Callable[..., Tree], rows: Tree, shared: Tree) -> Tree:
    """function(rows of the device, shared) of all devices, which yields rows: [b, ...] of [B, ...].

    Arguments as of `sum_over_devices`.
    """
    if devices() == 1:
        return function(rows, shared)
    specs = PartitionSpec(BATCH_AXES), PartitionSpec()
    return jax.shard_map(function, in_specs=specs, out_specs=specs[0])(rows, shared)


def keep_rows(x: Array) -> Array:
    """x, whose rows stay on the devices that hold the same rows of the batch: [B, ...].

    The fsdp axis cuts both the batch and the parameters. Left alone the compiler may keep the
    parameters in pieces and give every device the activations of the whole batch; with this it
    gathers the parameters. Rows that the devices do not divide are left to the compiler.
    """
    n = devices()
    if n == 1 or x.shape[0] % n:
        return x
    rest = [PartitionSpec.UNCONSTRAINED] * (x.ndim - 1)
    return jax.lax.with_sharding_constraint(x, PartitionSpec(BATCH_AXES, *rest))


def whole_rows(table: Array) -> Array:
    """A table whose rows are looked up, each whole on the devices that hold it: [V, D].

    A device that has pieces of all rows would look up the ids of the whole batch.
    """
    if devices() == 1:
        return table
    return jax.lax.with_sharding_constraint(table, PartitionSpec(PartitionSpec.UNCONSTRAINED, None))


def gather(x: Tree) -> Tree:
    """The rows of all devices, in order: [b, ...] -> [B, ...]; gradients are summed back."""
    if devices() == 1:
        return x
    return jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, BATCH_AXES, tiled=True), x)


def own_rows(x: Array, count: int) -> Array:
    """A device's share of what all devices hold alike: [B, ...] -> [count, ...]."""
    if devices() == 1:
        return x
    return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(BATCH_AXES) * count, count)


def rotate(x: Tree) -> Tree:
    """What the device before this one holds; the first takes from the last."""
    n = devices()
    if n == 1:
        return x
    ring = [(i, (i + 1) % n) for i in range(n)]
    return jax.tree.map(lambda leaf: jax.lax.ppermute(leaf, BATCH_AXES, ring), x)


def log_sum_exp(x: Array) -> Array:
    """log of the sum over devices of exp(x), element by element."""
    if devices() == 1:
        return x
    top = jax.lax.pmax(jax.lax.stop_gradient(x), BATCH_AXES)
    return jnp.log(jax.lax.psum(jnp.exp(x - top), BATCH_AXES)) + top
