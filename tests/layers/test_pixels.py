"""Pixels are normalised once, and only where they are bytes."""

import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers.pixels import STATISTICS, normalise


@pytest.mark.parametrize("name", STATISTICS)
def test_bytes_become_numbers_of_deviations(name):
    mean, deviation = STATISTICS[name]
    image = jnp.array([0, 255, 51], jnp.uint8)[:, None, None, None] * jnp.ones(
        (1, 2, 5, 3), jnp.uint8
    )
    got = normalise(image, name)
    assert got.dtype == jnp.float32
    for row, value in zip(got, (0, 1, 0.2), strict=True):
        want = (value - np.array(mean)) / np.array(deviation)
        np.testing.assert_allclose(row, np.broadcast_to(want, (2, 5, 3)), rtol=1e-5)


def test_floats_are_taken_as_normalised():
    image = jnp.ones((1, 2, 5, 3))
    assert normalise(image, "clip") is image
