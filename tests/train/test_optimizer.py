"""Optimizers: equal to their formulas, and each parameter treated as the config says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.errors import UserError
from vlx.tasks.task import LayerGroups
from vlx.train import optimizer as rules
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import Partition, flatten, partition

KERNEL, BIAS = "mlp/up/kernel", "mlp/up/bias"


def normal(*shape, seed: int = 0):
    return jax.random.normal(jax.random.key(seed), shape)


def train(c: OptimizerConfig, params, gradients, scales=None):
    """Parameters after one step for each gradient, and the optimizer's state."""
    part = Partition({path: None for path in params})
    rule = rules.build(c, part)
    state = rule.init(params)
    for gradient in gradients:
        updates, state = rule.update(gradient, state, params)
        scales = scales or dict.fromkeys(params, 1.0)
        params = rules.apply(params, updates, c.lr, scales, rules.late_decay(c, part))
    return params, state


def steps(params, count: int = 3):
    return [
        {path: normal(*x.shape, seed=7 * i + j) for j, (path, x) in enumerate(params.items())}
        for i in range(count)
    ]


PARAMS = {KERNEL: normal(5, 3, seed=1), BIAS: normal(3, seed=2)}


def test_adamw_is_pytorchs():
    c = OptimizerConfig(lr=0.1, b1=0.8, b2=0.95, eps=1e-3, weight_decay=0.3)
    gradients = steps(PARAMS)
    got, _ = train(c, PARAMS, gradients)
    for path, decay in ((KERNEL, 0.3), (BIAS, 0.0)):
        x = np.asarray(PARAMS[path], np.float64)
        m, v = np.zeros_like(x), np.zeros_like(x)
        for t, gradient in enumerate(gradients, start=1):
            g = np.asarray(gradient[path], np.float64)
            x = x * (1 - c.lr * decay)
            m = c.b1 * m + (1 - c.b1) * g
            v = c.b2 * v + (1 - c.b2) * g**2
            denominator = np.sqrt(v) / np.sqrt(1 - c.b2**t) + c.eps
            x = x - c.lr / (1 - c.b1**t) * m / denominator
        np.testing.assert_allclose(got[path], x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_pytorchs_with_momentum(momentum):
    gradients = steps(PARAMS)
    got, state = train(OptimizerConfig("sgd", lr=0.1, b1=momentum), PARAMS, gradients)
    x, trace = PARAMS[KERNEL], jnp.zeros((5, 3))
    for gradient in gradients:
        trace = momentum * trace + gradient[KERNEL]
        x = x - 0.1 * trace
    np.testing.assert_allclose(got[KERNEL], x, rtol=1e-5)
    assert bool(jax.tree.leaves(state)) == (momentum > 0)  # plain descent remembers nothing


@pytest.mark.parametrize("name", rules.RULES)
def test_patterns_choose_what_decays(name):
    zero = [jax.tree.map(jnp.zeros_like, PARAMS)]
    c = OptimizerConfig(name, lr=0.1, weight_decay=0.5, no_decay=(r".*/kernel",))
    got, _ = train(c, PARAMS, zero)
    np.testing.assert_array_equal(got[KERNEL], PARAMS[KERNEL])
    np.testing.assert_allclose(got[BIAS], PARAMS[BIAS] * 0.95, rtol=1e-6)


def test_no_decay_matches_whole_paths_only():
    zero = [jax.tree.map(jnp.zeros_like, PARAMS)]
    got, _ = train(OptimizerConfig(lr=0.1, weight_decay=0.5, no_decay=("mlp",)), PARAMS, zero)
    assert not np.array_equal(got[KERNEL], PARAMS[KERNEL])


def test_adafactor_starts_with_the_closed_form():
    g = normal(37, 41, seed=3)
    c = OptimizerConfig("adafactor", lr=1.0, b1=0.9)
    x = {KERNEL: jnp.zeros((37, 41))}
    got, _ = train(c, x, [{KERNEL: g}])
    square = np.asarray(g, np.float64) ** 2
    row, column = square.mean(axis=1, keepdims=True), square.mean(axis=0, keepdims=True)
    want = -(1 - c.b1) * g / np.sqrt(row * column / row.mean())
    np.testing.assert_allclose(got[KERNEL], want, rtol=1e-4)


def test_adafactor_keeps_second_moments_of_small_matrices_whole():
    g = {KERNEL: normal(31, 41)}
    c = OptimizerConfig("adafactor", lr=1.0, b1=0.0)
    got, _ = train(c, {KERNEL: jnp.zeros((31, 41))}, [g])
    np.testing.assert_allclose(got[KERNEL], -jnp.sign(g[KERNEL]), rtol=1e-5)


@pytest.mark.parametrize(
    ("path", "shape", "matrix"),
    [
        ("attention/query/kernel", (40, 4, 33), (40, 132)),
        ("attention/out/kernel", (4, 33, 40), (132, 40)),
        ("layers/attention/key/kernel", (3, 40, 4, 33), (3, 40, 132)),
        ("layers/attention/out/text/kernel", (3, 4, 33, 40), (3, 132, 40)),
    ],
)
def test_adafactor_factors_attention_kernels_as_matrices(path, shape, matrix):
    c = OptimizerConfig("adafactor", lr=0.1)
    gradients = [normal(*shape, seed=s) for s in range(2)]
    got, state = train(c, {path: normal(*shape, seed=9)}, [{path: g} for g in gradients])
    flat = {"mlp/kernel": normal(*shape, seed=9).reshape(matrix)}
    flat_gradients = [{"mlp/kernel": g.reshape(matrix)} for g in gradients]
    want, want_state = train(c, flat, flat_gradients)
    np.testing.assert_array_equal(got[path].reshape(matrix), want["mlp/kernel"])
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(want_state), strict=True):
        np.testing.assert_array_equal(a.ravel(), b.ravel())
    second = [x for x in jax.tree.leaves(state) if x.size > 1 and x.size < 1000]
    assert second, "nothing was factored"


@pytest.mark.parametrize("name", rules.RULES)
def test_momentum_has_the_dtype_that_is_asked_for(name):
    def dtypes(dtype):
        c = OptimizerConfig(name, momentum_dtype=dtype)
        return [x.dtype for x in jax.tree.leaves(train(c, PARAMS, steps(PARAMS, 1))[1])]

    assert jnp.bfloat16 not in dtypes("float32")
    assert dtypes("bfloat16").count(jnp.bfloat16) == len(PARAMS)  # the first moments alone


def test_clip_scales_by_pytorchs_factor():
    g = {"a": jnp.array([3.0]), "b": jnp.array([[4.0]])}
    for largest, factor in ((2.5, 2.5 / (5 + 1e-6)), (7.0, 1.0), (0.0, 1.0)):
        got = rules.clip(g, jnp.float32(5), largest)
        np.testing.assert_allclose(got["a"], 3 * factor, rtol=1e-7)
        np.testing.assert_allclose(got["b"], 4 * factor, rtol=1e-7)


def test_limits_hold_for_matches_alone():
    params = {"logit_scale": jnp.float32(9), "other/logit_scale": jnp.float32(9)}
    got = rules.limit(params, (("logit_scale", 0.0, 4.5),))
    assert got == {"logit_scale": 4.5, "other/logit_scale": 9}


def test_first_matching_rate_counts():
    part = Partition({KERNEL: None, BIAS: None, "head/kernel": None})
    c = OptimizerConfig(lr_scale=((r".*/bias", 3.0), (r"mlp/.*", 0.5)))
    scales = rules.rate_scales(c, part, {}, {})
    assert scales == {KERNEL: 0.5, BIAS: 3.0, "head/kernel": 1.0}


def test_rates_scale_the_whole_update_with_its_decay():
    c = OptimizerConfig(lr=0.1, weight_decay=0.5)
    gradients = steps(PARAMS, 1)
    once, _ = train(c, PARAMS, gradients)
    twice, _ = train(c, PARAMS, gradients, {KERNEL: 2.0, BIAS: 1.0})
    moved = once[KERNEL] - PARAMS[KERNEL]
    np.testing.assert_allclose(twice[KERNEL] - PARAMS[KERNEL], 2 * moved, rtol=1e-4)
    np.testing.assert_array_equal(twice[BIAS], once[BIAS])


GROUPS = {
    "image": LayerGroups(
        embeddings="image/patches", stack="image/layers/.*", last="image/norm", head="image/head"
    )
}
SHAPES = {
    "image/patches": (7,),
    "image/layers/kernel": (3, 5, 2),
    "image/norm": (5,),
    "image/head": (5,),
    "text/head": (5,),
}


def layer_scales(spans=None):
    part = Partition({path: None for path in SHAPES} | (spans or {}))
    return rules.rate_scales(OptimizerConfig(layer_decay={"image": 0.5}), part, SHAPES, GROUPS)


def test_layer_decay_takes_one_factor_a_layer_below_the_head():
    scales = layer_scales()
    assert scales["image/head"] == scales["text/head"] == 1.0
    assert scales["image/norm"] == 0.5  # with the last layer
    np.testing.assert_array_equal(scales["image/layers/kernel"].ravel(), [0.125, 0.25, 0.5])
    assert scales["image/layers/kernel"].shape == (3, 1, 1)
    assert scales["image/patches"] == 0.0625


def test_layer_decay_keeps_the_rates_of_layers_that_are_left_when_others_freeze():
    scales = layer_scales({"image/layers/kernel": (1, 3)})
    np.testing.assert_array_equal(scales["image/layers/kernel"].ravel(), [0.25, 0.5])


def test_unknown_layer_group_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"no group \['audio'\].*\['image'\]"):
        rules.rate_scales(OptimizerConfig(layer_decay={"audio": 0.5}), Partition({}), {}, GROUPS)


@pytest.mark.parametrize("name", rules.RULES)
def test_frozen_parameters_take_no_optimizer_memory(name):
    tree = {"mlp": {"up": {"kernel": normal(5, 3), "bias": normal(3)}}, "text": normal(7, 2)}

    def numbers(frozen):
        part = partition(tree, (), frozen)
        trained, _ = part.split(tree)
        state = rules.build(OptimizerConfig(name), part).init(trained)
        return sum(x.size for x in jax.tree.leaves(state) if x.ndim)

    only = {KERNEL: tree["mlp"]["up"]["kernel"]}
    alone = rules.build(OptimizerConfig(name), Partition({KERNEL: None})).init(only)
    assert numbers((BIAS, "text")) == sum(x.size for x in jax.tree.leaves(alone) if x.ndim)
    assert set(flatten(tree)) == {KERNEL, BIAS, "text"}


def test_unknown_optimizer_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"optimizer\.name='lion': choose from adamw"):
        rules.build(OptimizerConfig("lion"), Partition({KERNEL: None}))


def test_transformers_adam_adds_eps_before_its_correction_and_decays_late():
    """Two steps by hand; its eps of 0.3 is large enough to tell."""
    c = OptimizerConfig(
        "adamw_transformers", lr=0.1, b1=0.9, b2=0.98, eps=0.3, weight_decay=0.5, no_decay=()
    )
    gradients = steps({KERNEL: PARAMS[KERNEL]}, 2)
    x = np.asarray(PARAMS[KERNEL], np.float64)
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t, gradient in enumerate(gradients, start=1):
        g = np.asarray(gradient[KERNEL], np.float64)
        m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g**2
        x = x - 0.1 * np.sqrt(1 - 0.98**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 0.3)
        x = x - 0.1 * 0.5 * x
    got, _ = train(c, {KERNEL: PARAMS[KERNEL]}, gradients)
    np.testing.assert_allclose(got[KERNEL], x, rtol=1e-5)
