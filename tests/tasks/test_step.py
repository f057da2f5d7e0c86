"""The training step, for a task that uses everything a task may use."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vlx.tasks.task import Choice, Outputs, Task
from vlx.train import optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import flatten, partition
from vlx.train.state import create
from vlx.train.step import make_step

D, E, B = 7, 5, 12
KEY = jax.random.key(3)
DESCENT = OptimizerConfig(name="sgd", b1=0.0)  # a step of rate 1 is the gradient


class Toy(Task):
    """Rows of numbers with terms of all kinds, a choice of rows, statistics and dropout."""

    rngs = ("dropout",)
    weights = {"own": 1.0, "pairs": 0.7, "hard": 0.3}  # noqa: RUF012

    def __init__(self, dropout: bool = False):
        self.dropout = dropout

    def init(self, rng=None):
        draw = np.random.default_rng(0).standard_normal
        params = {
            "tower": {"kernel": jnp.float32(draw((D, E)))},
            "layers": {"kernel": jnp.float32(0.3 * draw((3, E, E)))},
            "head": {"kernel": jnp.float32(draw(E)), "bias": jnp.float32(draw(()))},
            "idle": {"kernel": jnp.ones(E)},
        }
        return params, {"mean": jnp.zeros(E), "steps": jnp.zeros((), jnp.int32)}

    def prepare(self, params, buffers, batch, step, rng, constants):
        """Targets of the whole batch, which must not depend on how it is cut."""
        target = jax.random.normal(rng, batch["weight"].shape) + jnp.mean(batch["x"], axis=1)
        return dict(batch) | {"target": target}, buffers | {"steps": buffers["steps"] + 1}

    def _tower(self, params, x):
        y = x @ params["tower"]["kernel"]
        for i in range(3):
            y = jnp.tanh(y @ params["layers"]["kernel"][i])
        return y

    def embed(self, params, buffers, batch, step, rngs):
        x, weight = batch["x"], batch["weight"]
        y = self._tower(params, x) - 0.1 * buffers["mean"]
        if self.dropout:
            y = 2 * y * jax.random.bernoulli(rngs["dropout"], 0.5, y.shape)
        error = jnp.square(y @ params["head"]["kernel"] + params["head"]["bias"] - batch["target"])
        count = batch["words"] * weight
        return Outputs(
            coupled={"y": y, "name": batch["name"], "weight": weight},
            terms={"own": (jnp.sum(error * count), jnp.sum(count))},
            statistics={"sum": jnp.sum(weight[:, None] * y, axis=0)},
        )

    def couple(self, params, buffers, coupled, step, rng):
        y, weight = coupled["y"], coupled["weight"]
        near = y @ y.T - 1e9 * ((coupled["name"][:, None] == coupled["name"]) | (weight == 0))
        pairs = jnp.sum(weight * jax.nn.logsumexp(near * params["head"]["bias"] ** 2, axis=1))
        hardest = Choice(jnp.argmax(near, axis=1).astype(jnp.int32), ("x", "weight"))
        return {"pairs": (pairs, jnp.sum(weight))}, {"near": hardest}

    def finish(self, params, buffers, batch, chosen, step, rngs):
        other = self._tower(params, chosen["near"]["x"])
        if self.dropout:
            other = 2 * other * jax.random.bernoulli(rngs["dropout"], 0.5, other.shape)
        weight = batch["weight"] * chosen["near"]["weight"]
        match = jnp.square(jnp.sum(self._tower(params, batch["x"]) * other, axis=1))
        return Outputs(
            terms={"hard": (jnp.sum(weight * match), jnp.sum(batch["weight"]))},
            statistics={"hard": jnp.sum(weight[:, None] * other, axis=0)},
        )

    def advance(self, params, buffers, coupled, statistics, step):
        seen = statistics["embed"]["sum"] + statistics["finish"]["hard"]
        names = jnp.sum(coupled["name"] * coupled["weight"])
        return buffers | {"mean": 0.9 * buffers["mean"] + seen / names}


def batch():
    rng = np.random.default_rng(1)
    return {
        "x": rng.standard_normal((B, D)).astype(np.float32),
        "weight": np.ones(B, np.float32) - np.eye(B, dtype=np.float32)[4],
        "words": rng.integers(1, 5, B).astype(np.float32),
        "name": np.arange(B, dtype=np.int32),
    }


def prepared(task, rules=DESCENT, frozen=(), left_out=(), micro_batches=1, averaged=False):
    """A state and a compiled step."""
    params, buffers = task.init()
    part = partition(params, left_out, frozen)
    transformation = optimizer.build(rules, part)
    state = create(params, buffers, transformation, part, averaged)
    scales = dict.fromkeys(part.trained, 1.0)
    return state, jax.jit(make_step(task, transformation, rules, part, scales, micro_batches))


def change(before, after):
    """The gradient, as a step of plain descent of rate 1 shows it."""
    return jax.tree.map(jnp.subtract, before.params, after.params)


def same(got, want, tolerance=1e-5):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, want
    )


@pytest.fixture(scope="module")
def whole():
    """Two steps of the whole batch at once: gradients, buffers and metrics."""
    return two_steps(1)


def two_steps(pieces):
    state, step = prepared(Toy(), micro_batches=pieces)
    results = []
    for _ in range(2):
        after, metrics = step(state, batch(), np.float32(0.1), KEY)
        results.append((change(state, after), after.buffers, metrics))
        state = after
    return results


@pytest.mark.parametrize("pieces", [2, 3, 4])
def test_micro_batches_change_nothing(pieces, whole):
    same(two_steps(pieces), whole)


def test_every_part_of_the_task_matters(whole):
    """What the test above compares is not empty: each term, each statistic, each parameter."""
    (gradient, buffers, metrics), (_, later, _) = whole
    assert set(metrics) > {"own", "pairs", "hard", "loss", "gradient_norm"}
    want = sum(Toy.weights[name] * metrics[name] for name in Toy.weights)
    np.testing.assert_allclose(metrics["loss"], want, rtol=1e-6)
    learnt = {path for path, g in flatten(gradient).items() if np.abs(g).max() > 1e-4}
    assert learnt == {"tower/kernel", "layers/kernel", "head/kernel", "head/bias"}
    assert np.abs(later["mean"] - buffers["mean"]).max() > 1e-3
    assert (buffers["steps"], later["steps"]) == (1, 2)


@pytest.mark.parametrize("pieces", [1, 3])
def test_with_dropout_the_gradient_is_that_of_the_logged_loss(pieces):
    """Both passes of a step draw the same masks, else the finite difference would disagree."""
    state, step = prepared(Toy(dropout=True), micro_batches=pieces)
    after, metrics = step(state, batch(), np.float32(1), KEY)
    gradient = change(state, after)
    norm = optax.tree.norm(gradient)
    np.testing.assert_allclose(norm, metrics["gradient_norm"], rtol=1e-4)

    def loss(distance):
        moved = jax.tree.map(lambda x, g: x + distance * g / norm, state.params, gradient)
        return step(state.replace(params=moved), batch(), np.float32(1), KEY)[1]["loss"]

    slope = (loss(1e-2) - loss(-1e-2)) / 2e-2
    np.testing.assert_allclose(slope, norm, rtol=5e-3)


def test_steps_and_keys_draw_other_masks():
    state, step = prepared(Toy(dropout=True))
    later = state.replace(step=state.step + 1)
    losses = [
        step(s, batch(), np.float32(0), key)[1]["loss"]
        for s, key in ((state, KEY), (state, KEY), (later, KEY), (state, jax.random.key(4)))
    ]
    assert losses[0] == losses[1]
    assert len({float(x) for x in losses}) == 3


ADAM = OptimizerConfig(name="adamw", weight_decay=0.1, no_decay=(".*bias",), ema=0.9)


def test_a_gradient_that_is_not_finite_changes_nothing_and_is_counted():
    state, step = prepared(Toy(), ADAM, averaged=True)
    spoilt = batch()
    spoilt["x"][2, 3] = np.inf
    first, _ = step(state, batch(), np.float32(0.1), KEY)
    bad, metrics = step(first, spoilt, np.float32(0.1), KEY)
    for part in ("params", "buffers", "optimizer", "ema"):
        jax.tree.map(np.testing.assert_array_equal, getattr(bad, part), getattr(first, part))
    assert (bad.step, metrics["skipped"], metrics["skipped_in_a_row"]) == (2, 1, 1)
    again, _ = step(bad, spoilt, np.float32(0.1), KEY)
    good, metrics = step(again, batch(), np.float32(0.1), KEY)
    assert (again.counters.skipped, again.counters.skipped_in_a_row) == (2, 2)
    assert (metrics["skipped"], metrics["skipped_in_a_row"]) == (2, 0)
    assert np.abs(good.params["tower"]["kernel"] - bad.params["tower"]["kernel"]).max() > 0


def test_averages_follow_at_their_own_pace():
    state, step = prepared(Toy(), ADAM, averaged=True)
    after, _ = step(state, batch(), np.float32(0.1), KEY)
    for path, x in flatten(after.params).items():
        want = 0.9 * flatten(state.params)[path] + 0.1 * x
        np.testing.assert_allclose(after.ema[path], want, rtol=1e-5, atol=1e-6)


def test_frozen_layers_get_no_update_and_no_memory():
    frozen = ("layers/kernel[0:2]", "head/.*")
    state, step = prepared(Toy(), ADAM, frozen)
    after, _ = step(state, batch(), np.float32(0.1), KEY)
    moved = {path: np.abs(x) > 0 for path, x in flatten(change(state, after)).items()}
    assert not moved["layers/kernel"][:2].any()
    assert moved["layers/kernel"][2].all()
    assert not moved["head/kernel"].any()
    assert moved["tower/kernel"].all()
    moments = jax.tree.leaves(after.optimizer)
    assert sorted(x.shape for x in moments if x.ndim) == sorted(2 * [(D, E), (1, E, E), (E,)])


def test_the_rest_of_a_frozen_stack_learns_as_without_freezing(whole):
    state, step = prepared(Toy(), frozen=("layers/kernel[1:3]",))
    after, _ = step(state, batch(), np.float32(0.1), KEY)
    got, want = (g["layers"]["kernel"][:1] for g in (change(state, after), whole[0][0]))
    same(got, want)


def test_what_takes_part_is_decayed_without_a_gradient_and_the_rest_is_not():
    state, step = prepared(Toy(), ADAM)
    after, _ = step(state, batch(), np.float32(0.1), KEY)
    np.testing.assert_allclose(after.params["idle"]["kernel"], np.full(E, 1 - 0.1 * 0.1), rtol=1e-6)
    state, step = prepared(Toy(), ADAM, left_out=("idle/.*",))
    after, _ = step(state, batch(), np.float32(0.1), KEY)
    np.testing.assert_array_equal(after.params["idle"]["kernel"], np.ones(E))


def test_clipping_bounds_the_norm_of_the_whole_gradient(whole):
    norm = whole[0][2]["gradient_norm"]
    rules = OptimizerConfig(name="sgd", b1=0.0, clip=0.25 * float(norm))
    state, step = prepared(Toy(), rules)
    after, metrics = step(state, batch(), np.float32(0.1), KEY)
    same(change(state, after), jax.tree.map(lambda g: 0.25 * g, whole[0][0]))
    np.testing.assert_allclose(metrics["gradient_norm"], norm, rtol=1e-6)


def test_limits_hold_after_the_update():
    rules = OptimizerConfig(name="sgd", b1=0.0, limits=(("head/.*", -0.1, 0.2),))
    state, step = prepared(Toy(), rules)
    after, _ = step(state, batch(), np.float32(0.1), KEY)
    head = np.concatenate([np.ravel(x) for x in jax.tree.leaves(after.params["head"])])
    assert head.min() >= np.float32(-0.1)
    assert head.max() <= np.float32(0.2)
    assert np.abs(flatten(state.params)["head/kernel"]).max() > 0.2
