"""cross_entropy: its own backward pass is that of the formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.objectives.cross_entropy import cross_entropy

LOGITS = 3 * jax.random.normal(jax.random.key(0), (2, 5, 7))
LABEL = jnp.array([[0, 6, 3, 3, 1], [2, 5, 4, 0, 6]])


def plain(logits, smoothing):
    target = jax.nn.one_hot(LABEL, 7) * (1 - smoothing) + smoothing / 7
    return -jnp.sum(target * jax.nn.log_softmax(logits.astype(jnp.float32)), axis=-1)


def test_of_two_equal_classes():
    np.testing.assert_allclose(cross_entropy(jnp.zeros((1, 2)), jnp.array([1])), [np.log(2)])


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 1e-2)])
def test_backward_is_that_of_the_plain_formula(smoothing, dtype, tolerance):
    logits, gradient = LOGITS.astype(dtype), jnp.arange(10.0).reshape(2, 5)
    got, back = jax.vjp(lambda x: cross_entropy(x, LABEL, smoothing), logits)
    want, plain_back = jax.vjp(lambda x: plain(x, smoothing), logits)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    got, want = back(gradient)[0], plain_back(gradient)[0]
    assert got.dtype == want.dtype == dtype
    got, want = (np.asarray(x, np.float32) for x in (got, want))
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def test_no_logit_is_too_large():
    loss, gradient = jax.value_and_grad(lambda x: cross_entropy(x, jnp.int32(0)))(
        jnp.array([-1e4, 1e4])
    )
    np.testing.assert_allclose(loss, 2e4)
    np.testing.assert_allclose(gradient, [-1, 1])
