"""layer_norm: its own backward pass is that of the formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers.norm import Norm, layer_norm

EPSILON = 1e-3


def plain(x, scale, bias):
    y = x.astype(jnp.float32)
    y = (y - jnp.mean(y, -1, keepdims=True)) / jnp.sqrt(jnp.var(y, -1, keepdims=True) + EPSILON)
    return (y * scale + bias).astype(x.dtype)


def ours(x, scale, bias):
    return layer_norm(x, scale, bias, EPSILON)


def test_of_two_numbers():
    got = layer_norm(jnp.array([[3.0, 7.0]]), jnp.array([1.0, 10.0]), jnp.array([0.0, 5.0]), 1e-12)
    np.testing.assert_allclose(got, [[-1.0, 15.0]], rtol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("bfloat16", 2e-2)])
def test_backward_is_that_of_the_plain_formula(dtype, tolerance):
    keys = jax.random.split(jax.random.key(0), 4)
    x = (3 + 2 * jax.random.normal(keys[0], (5, 3, 7))).astype(dtype)
    scale, bias = jax.random.normal(keys[1], (2, 7))
    gradient = jax.random.normal(keys[2], x.shape).astype(dtype)

    @jax.jit
    def both(x, scale, bias, gradient):
        results = []
        for function in (ours, plain):
            y, back = jax.vjp(function, x, scale, bias)
            results.append((y, *back(gradient)))
        return results

    for got, want in zip(*both(x, scale, bias, gradient), strict=True):
        assert got.dtype == want.dtype
        got, want = np.asarray(got, np.float32), np.asarray(want, np.float32)
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * np.abs(want).max())


def test_statistics_are_float32_whatever_the_dtype():
    x = jnp.array([[256.0, 258.0, 260.0, 258.0]], jnp.bfloat16)  # their sum has no bfloat16
    got = layer_norm(x, jnp.ones(4), jnp.zeros(4), 1e-12)
    np.testing.assert_allclose(
        np.asarray(got, np.float32), [[-(2**0.5), 0, 2**0.5, 0]], rtol=1e-2, atol=1e-3
    )


def test_parameters_are_float32_and_the_result_is_as_asked():
    x = jnp.ones((2, 3), jnp.bfloat16)
    got, variables = Norm(dtype="bfloat16").init_with_output(jax.random.key(0), x)
    assert got.dtype == jnp.bfloat16
    assert {p.dtype.name for p in jax.tree.leaves(variables)} == {"float32"}
