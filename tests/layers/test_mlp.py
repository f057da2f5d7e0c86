"""Activations in closed form, and the options of the MLP."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers.mlp import ACTIVATIONS, Mlp

from small_models import parameters

X = np.linspace(-4, 4, 17, dtype=np.float32)
FORMULAS = {
    "gelu": [0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in X],
    "quick_gelu": [x / (1 + math.exp(-1.702 * x)) for x in X],
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_their_formulas(name):
    np.testing.assert_allclose(ACTIVATIONS[name](X), FORMULAS[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_keep_the_dtype(name):
    assert ACTIVATIONS[name](jnp.asarray(X, jnp.bfloat16)).dtype == jnp.bfloat16


def test_tokens_do_not_mix():
    x = jax.random.normal(jax.random.key(0), (2, 5, 7))
    module = Mlp(13, norm=True)
    params = {"params": parameters(module, x)}
    apply = jax.jit(module.apply)
    got, want = apply(params, x.at[:, 3].set(9.0)), apply(params, x)
    changed = np.abs(got - want).max(axis=(0, 2)) > 0
    assert changed.tolist() == [False, False, False, True, False]
