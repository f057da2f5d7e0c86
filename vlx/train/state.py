"""What a checkpoint holds beside the data position."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from vlx.tasks import whole
from vlx.train.partition import Flat, Partition

Array = jax.Array


@struct.dataclass
class Counters:
    """Events of the run so far, int32."""

    skipped: Array  # steps whose gradient was not finite
    skipped_in_a_row: Array


@struct.dataclass
class TrainState:
    """step counts finished steps; `optimizer` and `ema` cover trained parameters only."""

    step: Array
    params: Any
    buffers: Any
    optimizer: Any
    ema: Flat  # empty without averaging
    counters: Counters


def create(
    params: Any,
    buffers: Any,
    optimizer: optax.GradientTransformation,
    partition: Partition,
    averaged: bool,
) -> TrainState:
    """The state before the first step."""
    trained, _ = partition.split(params)
    zero = jnp.zeros((), jnp.int32)
    return TrainState(
        step=zero,
        params=params,
        buffers=buffers,
        optimizer=optimizer.init(trained),
        ema=jax.tree.map(jnp.array, trained) if averaged else {},
        counters=Counters(skipped=zero, skipped_in_a_row=zero),
    )


def averaged_params(state: TrainState, partition: Partition) -> Any:
    """All of the model's parameters: averaged where there are averages, as they are elsewhere."""
    params = partition.merge(state.ema, state.params) if state.ema else state.params
    return whole(params, state.buffers)


def model_params(state: TrainState) -> Any:
    """All of the model's parameters as they are."""
    return whole(state.params, state.buffers)
