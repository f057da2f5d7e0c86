"""One training step of a small task: its gradient and what it logs, on any mesh."""

import jax
import numpy as np
import pytest

from vlx.parallel.mesh import MeshConfig, make_mesh, place_rows
from vlx.train import optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import partition
from vlx.train.state import create
from vlx.train.step import make_step

RULES = OptimizerConfig(name="sgd", b1=0.0)
KEY, RATE = jax.random.key(0), np.float32(1)


def prepared(task, params, batch, pieces=1, frozen=()):
    """The step, its state and the fields of the batch that the task reads."""
    part = partition(params, task.left_out, frozen)
    rule = optimizer.build(RULES, part)
    state = create(params, {}, rule, part, averaged=False)
    scales = dict.fromkeys(part.trained, 1.0)
    return make_step(task, rule, RULES, part, scales, pieces), state, batch


def step_once(task, params, batch, pieces=1, mesh=None):
    """Gradients and metrics of one step."""
    step, state, batch = prepared(task, params, batch, pieces)
    if mesh is not None:
        batch = place_rows(batch, mesh)
    with jax.set_mesh(mesh or make_mesh(MeshConfig(), jax.devices()[:1])):
        after, metrics = jax.jit(step)(state, batch, RATE, KEY)
    gradient = jax.tree.map(lambda a, b: np.asarray(a - b), state.params, after.params)
    return gradient, {name: float(x) for name, x in metrics.items()}


def assert_same(got, want, names):
    """The named metrics, and every gradient."""
    for name in (*names, "loss", "gradient_norm"):
        assert got[1][name] == pytest.approx(want[1][name], rel=2e-5)
    for a, b in zip(*(jax.tree.leaves(x[0]) for x in (got, want)), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * np.abs(b).max() + 1e-7)
