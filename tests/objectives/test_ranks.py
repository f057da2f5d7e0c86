"""Blocks of a batch as the processes of official code see them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.objectives.ranks import by_rank, gather, means, reduce

LOSS = jnp.arange(6.0)
WEIGHT = jnp.array([1.0, 0, 1, 1, 0, 0])


def test_ranks_hold_consecutive_blocks():
    np.testing.assert_array_equal(by_rank(LOSS, 3), [[0, 1], [2, 3], [4, 5]])


def test_means_are_weighted_and_zero_without_weight():
    np.testing.assert_allclose(means(LOSS, WEIGHT, 3), [0, 2.5, 0])


def test_reduce_is_one_sum_or_the_sum_of_means():
    np.testing.assert_allclose(reduce(LOSS, WEIGHT), (5, 3))
    np.testing.assert_allclose(reduce(LOSS, WEIGHT, 3), (2.5, 3))


@pytest.mark.parametrize(("gradient", "want"), [(True, [3.0] * 6), (False, [1.0] * 6)])
def test_other_rows_are_constants_unless_gathered_with_gradient(gradient, want):
    def loss(x):
        gathered = gather(x, 3, gradient)
        np.testing.assert_array_equal(jax.lax.stop_gradient(gathered), np.tile(LOSS, (3, 1)))
        return jnp.sum(gathered)

    np.testing.assert_allclose(jax.grad(loss)(LOSS), want)


def test_refuses_a_batch_that_does_not_divide():
    with pytest.raises(ValueError, match="4 ranks do not divide a batch of 6"):
        by_rank(LOSS, 4)
