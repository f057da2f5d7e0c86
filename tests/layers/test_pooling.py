"""AttentionalPooler: any number of tokens to a fixed number of queries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers.pooling import AttentionalPooler

from small_models import parameters

KEY = jax.random.key(0)


def pool(x, width=6, queries=5):
    module = AttentionalPooler(width, 2, queries)
    return jax.jit(module.apply)({"params": parameters(module, x)}, x)


@pytest.mark.parametrize("width", [6, 7], ids=["of its own width", "of another width"])
def test_tokens_become_queries(width):
    assert pool(jax.random.normal(KEY, (3, 11, width))).shape == (3, 5, 6)


def test_the_order_of_tokens_does_not_matter():
    x = jax.random.normal(KEY, (3, 11, 7))
    np.testing.assert_allclose(pool(x), pool(x[:, ::-1]), rtol=1e-5, atol=1e-6)


def test_equal_tokens_count_once():
    x = jnp.broadcast_to(jax.random.normal(KEY, (3, 1, 7)), (3, 11, 7))
    np.testing.assert_allclose(pool(x), pool(x[:, :1]), rtol=1e-5, atol=1e-6)
