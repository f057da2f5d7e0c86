"""What a run computes: its state and the step that updates it, apart from any data.

A program follows from a task, rules of updates and a mesh. Seed, learning rate and constants are
arguments of its compiled step, so runs of one process that differ in nothing else compile once: a
sweep over seeds, rates or data, a run that goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any

import jax
import numpy as np

from vlx.errors import UserError
from vlx.parallel import layout
from vlx.parallel.mesh import replicated
from vlx.tasks import Constant, Task
from vlx.train import flops, optimizer
from vlx.train.config import RunConfig
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import Partition, flatten, partition
from vlx.train.schedule import ScheduleConfig
from vlx.train.state import TrainState, create
from vlx.train.step import make_step

HOST_MEMORY = "pinned_host"  # as JAX calls what devices read directly


@partial(jax.jit, static_argnums=0, inline=True)  # traced once for shapes and values
def initial(task: Task, key: jax.Array) -> tuple[Any, Any]:
    """Fresh parameters and buffers of a task."""
    return task.init(key)


@dataclass(frozen=True)
class Program:
    """Parts are made when they are asked for; see `program` for the one that all share."""

    task: Task
    rules: OptimizerConfig  # learning rate and schedule left out
    freeze: tuple[str, ...]
    micro_batches: int
    mesh: jax.sharding.Mesh

    @cached_property
    def shapes(self) -> tuple[Any, Any]:
        """Shapes of parameters and buffers."""
        return initial.eval_shape(self.task, _key_shape())

    @cached_property
    def partition(self) -> Partition:
        return partition(self.shapes[0], self.task.left_out, self.freeze)

    @cached_property
    def transformation(self):
        """The optimizer. Raises UserError for rules that do not exist."""
        return optimizer.build(self.rules, self.partition)

    @cached_property
    def scales(self) -> Mapping[str, Any]:
        """Factors of the learning rate. Raises UserError for unknown groups of layers."""
        shapes = {path: x.shape for path, x in flatten(self.shapes[0]).items()}
        groups = self.task.layer_groups
        return optimizer.rate_scales(self.rules, self.partition, shapes, groups)

    @cached_property
    def abstract_state(self) -> TrainState:
        """The state's shapes, dtypes and shardings."""
        shapes = jax.eval_shape(self._begin, *self.shapes)
        everywhere = jax.tree.map(lambda _: replicated(self.mesh), shapes)
        places = everywhere.replace(
            params=layout.shardings(shapes.params, self.mesh),
            optimizer=self._between_steps(layout.follow(shapes.optimizer, self.mesh)),
            ema=layout.follow(shapes.ema, self.mesh),
        )
        return jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, places
        )

    def _between_steps(self, places):
        """Where the optimizer's memory waits: on the devices, or beside them."""
        if not self.rules.offload:
            return places
        device = self.mesh.devices.flat[0]
        if HOST_MEMORY not in {memory.kind for memory in device.addressable_memories()}:
            raise UserError(
                f"optimizer.offload=True needs memory that {device.device_kind} devices share with "
                "their host, which this backend has not; set optimizer.offload=False."
            )
        return jax.tree.map(lambda place: place.with_memory_kind(HOST_MEMORY), places)

    @cached_property
    def _places(self) -> TrainState:
        return jax.tree.map(lambda x: x.sharding, self.abstract_state)

    def _begin(self, params, buffers) -> TrainState:
        averaged = self.rules.ema > 0
        return create(params, buffers, self.transformation, self.partition, averaged)

    @cached_property
    def new_state(self):
        """A compiled function: key -> the state before the first step, made where it will live."""
        return jax.jit(
            lambda key: self._begin(*initial(self.task, key)), out_shardings=self._places
        )

    def _step(self, task: Task, micro_batches: int):
        parts = self.transformation, self.rules, self.partition, self.scales
        return make_step(task, *parts, micro_batches)

    @cached_property
    def step(self):
        """The compiled update: (state, batch, rate, key, constants) -> (state, metrics)."""
        update = self._step(self.task, self.micro_batches)
        in_use = layout.follow(self.abstract_state.optimizer, self.mesh)

        def step(state, *rest):
            state = state.replace(optimizer=jax.device_put(state.optimizer, in_use))
            return update(state, *rest)

        return jax.jit(
            step if self.rules.offload else update,
            donate_argnums=0,
            out_shardings=(self._places, replicated(self.mesh)),
        )

    def flops(self, batch: Mapping[str, Any], constants: Mapping[str, Constant]) -> int:
        """Matrix-product FLOPs of a step, recomputation left out."""
        step = self._step(self.task.without_remat(), 1)
        rate = jax.ShapeDtypeStruct((), np.float32)
        return flops.count(step, self.abstract_state, batch, rate, _key_shape(), constants)

    def repeated_flops(self, batch: Mapping[str, Any], constants: Mapping[str, Constant]) -> int:
        """FLOPs that micro-batches add to a step: of the rows that are compared across the batch.

        They are computed a second time, without gradient; 0 where a task compares nothing.
        """
        task, state, key = self.task, self.abstract_state, _key_shape()

        def prepare(state, batch, key, constants):
            return task.prepare(state.params, state.buffers, batch, state.step, key, constants)

        def coupled(state, prepared, key):
            batch, buffers = prepared
            rngs = dict.fromkeys(task.rngs, key)
            return task.embed(state.params, buffers, batch, state.step, rngs).coupled

        prepared = jax.eval_shape(prepare, state, batch, key, constants)
        return flops.count(coupled, state, prepared, key)


def program(config: RunConfig, task: Task, mesh: jax.sharding.Mesh) -> Program:
    """The program of a run; runs that compute the same get the same one."""
    rules = replace(config.optimizer, lr=0.0, schedule=ScheduleConfig())
    return _shared(task, rules, config.freeze, config.batch.micro_batches, mesh)


_shared = lru_cache(maxsize=16)(Program)


def _key_shape() -> jax.ShapeDtypeStruct:
    return jax.eval_shape(lambda: jax.random.key(0))
