"""However a stack is computed, it is the same stack."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers import stack
from vlx.layers.stack import POLICIES, Compute
from vlx.layers.transformer import Transformer, TransformerConfig

from small_models import parameters

CONFIG = TransformerConfig(10, 3, 2, 7)
X = jax.random.normal(jax.random.key(0), (2, 5, 10))
WAYS = [Compute(scan=s, remat=r) for s in (True, False) for r in ("none", *POLICIES)]


def run(compute, config=CONFIG):
    model = Transformer(config, compute, causal=True)
    params = {"params": parameters(model, X)}

    def loss(params, x):
        y = model.apply(params, x)
        return (y**2).sum(), y

    return params, *jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(params, X)


@pytest.fixture(scope="module")
def want():
    return run(WAYS[0])


@pytest.mark.parametrize("compute", WAYS[1:], ids=lambda c: f"scan={c.scan}-{c.remat}")
def test_scanned_unrolled_and_recomputed_layers_agree(compute, want):
    largest = max(np.abs(x).max() for x in jax.tree.leaves(want))
    for got, expected in zip(jax.tree.leaves(run(compute)), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6 * largest)


def test_the_first_axis_counts_layers(want):
    assert {x.shape[0] for x in jax.tree.leaves(want[0])} == {3}


@pytest.mark.parametrize("scan", [True, False])
def test_layers_start_apart(scan):
    model = Transformer(CONFIG, Compute(scan=scan))
    params = jax.jit(model.init)(jax.random.key(1), X)
    kernel = params["params"]["layers"]["mlp"]["up"]["kernel"]
    assert np.abs(kernel[0] - kernel[1]).max() > 1e-2


@pytest.mark.parametrize("scan", [True, False])
def test_a_layer_is_traced_once(scan):
    """Tracing takes most of the time before a first step."""
    traced = []

    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x):
            traced.append(x.shape)
            return nn.Dense(10)(x)

    class Stack(nn.Module):
        @nn.compact
        def __call__(self, x):
            return stack.run(Layer(name="layers"), 3, Compute(scan=scan), x)

    params = {"params": parameters(Stack(), X)}
    traced.clear()
    jax.eval_shape(Stack().apply, params, X)
    assert traced == [X.shape]


def test_a_stack_is_its_layers_one_after_another(want):
    params, (_, y), _ = want
    one, x = Transformer(replace(CONFIG, layers=1), Compute(), causal=True), X
    for i in range(3):
        x = one.apply(jax.tree.map(lambda p, i=i: p[i : i + 1], params), x)
    np.testing.assert_allclose(y, x, rtol=1e-5, atol=1e-5)


def test_a_deep_loop_is_no_longer_program_than_a_shallow_one():
    def text(layers):
        model = Transformer(replace(CONFIG, layers=layers), Compute(remat="names"))
        params = jax.eval_shape(model.init, jax.random.key(0), X)
        gradient = jax.grad(lambda params: (model.apply(params, X) ** 2).sum())
        return jax.jit(gradient).lower(params).as_text()

    assert len(text(24)) <= 1.1 * len(text(6))


class Dropping(nn.Module):
    """A layer that keeps half of what a factor makes of its input."""

    @nn.compact
    def __call__(self, x):
        factor = self.param("factor", nn.initializers.ones, x.shape[-1:])
        return nn.Dropout(0.5, deterministic=False)(x * factor)


class Stack(nn.Module):
    compute: Compute

    @nn.compact
    def __call__(self, x):
        return stack.run(Dropping(name="layers"), 3, self.compute, x)


@pytest.mark.parametrize("compute", WAYS[:2], ids=lambda c: c.remat)
def test_every_layer_drops_for_itself_and_recomputes_the_same(compute):
    """A unit survives three layers, as 8, with chance 1/8; its gradient is its value."""
    params = {"params": {"layers": {"factor": jnp.ones((3, 1009))}}}

    @jax.jit
    def run(params, key):
        y, back = jax.vjp(lambda p: Stack(compute).apply(p, jnp.ones((1, 1009)), rngs=key), params)
        return y, back(jnp.ones((1, 1009)))[0]["params"]["layers"]["factor"]

    y, gradient = run(params, {"dropout": jax.random.key(2)})
    assert set(np.unique(y)) == {0, 8}
    assert 0.08 < np.mean(y > 0) < 0.17
    np.testing.assert_array_equal(gradient, np.broadcast_to(y, (3, 1009)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Compute(remat="all"), "remat='all': choose from none, nothing, names, dots"),
        (lambda: replace(CONFIG, heads=3), "width=10 does not divide into heads=3"),
        (lambda: replace(CONFIG, initial="zero"), "initial='zero': choose uniform or normal"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_refuses_a_dtype_that_does_not_exist():
    with pytest.raises(TypeError, match="float17"):
        Compute(dtype="float17")


class Growing(nn.Module):
    """A layer that multiplies by its own factor."""

    @nn.compact
    def __call__(self, x):
        return x * self.param("factor", nn.initializers.ones, ())


class Every(nn.Module):
    compute: Compute

    @nn.compact
    def __call__(self, x):
        return stack.run(Growing(name="layers"), 3, self.compute, x, collect=True)


@pytest.mark.parametrize("compute", WAYS, ids=lambda c: f"scan={c.scan}-{c.remat}")
def test_what_comes_out_of_every_layer_can_be_had(compute):
    """Factors 2, 3 and 5; the gradient of the second output leaves the third layer out."""
    params = {"params": {"layers": {"factor": jnp.array([2.0, 3.0, 5.0])}}}
    every = jax.jit(Every(compute).apply)(params, jnp.ones(7))
    np.testing.assert_array_equal(every, np.outer([2, 6, 30], np.ones(7)))
    gradient = jax.grad(lambda p: Every(compute).apply(p, jnp.ones(7))[1, 0])(params)
    np.testing.assert_array_equal(gradient["params"]["layers"]["factor"], [3, 2, 0])
