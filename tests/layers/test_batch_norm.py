"""Batch norm: groups are normalised by themselves, and the running statistics follow them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.errors import UserError
from vlx.layers.batch_norm import STATISTICS, BatchNorm, follow

B, H, W, C = 6, 3, 5, 2


def numbers(seed=0):
    x = np.random.default_rng(seed).normal(3.0, 2.0, (B, H, W, C))
    return jnp.asarray(x, jnp.float32)


def params(**changes):
    fresh = {"scale": jnp.ones(C), "bias": jnp.zeros(C)}
    return fresh | {"mean": jnp.zeros(C), "variance": jnp.ones(C)} | changes


def test_running_statistics_are_taken_without_a_group():
    x = numbers()
    given = params(mean=jnp.array([1.0, 2.0]), variance=jnp.array([4.0, 9.0]), scale=jnp.full(C, 3))
    got = BatchNorm(epsilon=0.0).apply({"params": given}, x)
    want = 3 * (np.asarray(x) - [1, 2]) / [2, 3]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_each_group_has_a_mean_of_zero_and_a_variance_of_one():
    got, _ = BatchNorm().apply({"params": params()}, numbers(), 3, mutable=[STATISTICS])
    for rows in (got[:3], got[3:]):
        np.testing.assert_allclose(rows.mean((0, 1, 2)), 0, atol=1e-5)
        np.testing.assert_allclose(rows.var((0, 1, 2)), 1, rtol=1e-4)


def test_examples_of_other_groups_change_nothing():
    x = numbers()
    other = x.at[3:].set(numbers(1)[3:])
    first, second = (
        BatchNorm().apply({"params": params()}, y, 3, mutable=[STATISTICS])[0] for y in (x, other)
    )
    np.testing.assert_array_equal(first[:3], second[:3])


def test_running_statistics_move_to_the_mean_over_groups():
    """The variance is the unbiased one, as PyTorch keeps it."""
    x = numbers()
    _, sown = BatchNorm().apply({"params": params()}, x, 3, mutable=[STATISTICS])
    running = {"mean": jnp.zeros(C), "variance": jnp.ones(C)}
    got = follow(running, sown[STATISTICS], 0.1)
    groups = np.asarray(x).reshape(2, -1, C)
    np.testing.assert_allclose(got["mean"], 0.1 * groups.mean((0, 1)), rtol=1e-5)
    want = 0.9 + 0.1 * groups.var(1, ddof=1).mean(0)
    np.testing.assert_allclose(got["variance"], want, rtol=1e-5)


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match=r"statistics_group=4 does not divide the 6 examples"):
        jax.eval_shape(
            lambda x: BatchNorm().apply({"params": params()}, x, 4, mutable=[STATISTICS]), numbers()
        )
