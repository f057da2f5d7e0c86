"""Codes on the unit sphere: which one is the nearest, what gradients pass, and how codes follow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers.attention import unit
from vlx.layers.quantizer import add_up, draw, follow, kmeans, nearest, quantize

V, E = 5, 3


def vectors(*shape: int, seed: int = 0) -> jax.Array:
    return unit(jax.random.normal(jax.random.key(seed), (*shape, E)))


def test_of_equal_codes_the_first_is_the_nearest():
    codes = jnp.asarray([[0.0, 1, 0], [1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(nearest(jnp.asarray([[[0.9, 0.1, 0]]]), codes), [[1]])


def test_the_nearest_code_has_the_least_distance():
    z, codes = vectors(2, 7), vectors(V, seed=1) * jnp.arange(1, V + 1)[:, None]  # of any length
    distance = jnp.sum((z[:, :, None] - codes) ** 2, axis=-1)
    np.testing.assert_array_equal(nearest(z, codes), jnp.argmin(distance, axis=-1))


def test_gradients_pass_codes_as_if_they_were_the_vectors():
    z, codes, weight = vectors(2, 7), vectors(1, V, seed=1), vectors(2, 7, seed=2)

    def loss(z, codes):
        return jnp.sum(quantize(z, codes).vectors * weight)

    to_z, to_codes = jax.grad(loss, argnums=(0, 1))(z, codes)
    np.testing.assert_array_equal(to_z, weight)
    np.testing.assert_array_equal(to_codes, 0)
    found = quantize(z, codes)
    np.testing.assert_allclose(found.vectors, codes[0][found.index], atol=1e-6)


def test_the_error_moves_vectors_and_not_codes():
    z, codes = vectors(2, 7), vectors(1, V, seed=1)
    to_z, to_codes = jax.grad(lambda *x: jnp.sum(quantize(*x).error), argnums=(0, 1))(z, codes)
    np.testing.assert_allclose(to_z, 2 / E * (z - codes[0][nearest(z, codes[0])]), atol=1e-6)
    np.testing.assert_array_equal(to_codes, 0)


def test_each_codebook_serves_its_own_part_of_the_batch():
    z, codes = vectors(4, 7), vectors(2, V, seed=1)
    found = quantize(z, codes)
    for book in (0, 1):
        own = quantize(z[2 * book : 2 * book + 2], codes[book : book + 1])
        np.testing.assert_array_equal(found.index[2 * book : 2 * book + 2], own.index)


def test_padding_is_not_added_up():
    z, index = vectors(2, 3), jnp.asarray([[0, 2, 2], [4, 4, 4]])
    counts, sums = add_up(z, index, jnp.asarray([[1.0], [0.0]]) * jnp.ones(3), V)
    np.testing.assert_array_equal(counts, [1, 0, 2, 0, 0])
    np.testing.assert_allclose(sums[2], z[0, 1] + z[0, 2], rtol=1e-6)
    np.testing.assert_array_equal(sums[4], 0)


def test_codes_follow_the_mean_of_what_they_stood_for():
    codes = jnp.asarray([[[1.0, 0, 0], [0, 1, 0]]])
    counts, sums = jnp.asarray([2.0, 0]), jnp.asarray([[0.0, 0, 1.2], [0, 0, 0]])
    moved, usage = follow(codes, jnp.asarray([10.0, 10]), counts, sums, 0.75)
    want = np.array([0.75, 0, 0.25]) / np.hypot(0.75, 0.25)
    np.testing.assert_allclose(moved[0, 0], want, rtol=1e-6)
    np.testing.assert_array_equal(moved[0, 1], codes[0, 1])  # without use
    np.testing.assert_allclose(usage, [8, 7.5])


def test_rows_that_must_not_be_drawn_are_not():
    rows, noise = jnp.arange(4.0)[:, None], jnp.asarray([0.7, jnp.inf, 0.2, 0.9])
    np.testing.assert_array_equal(draw(rows, noise, 2)[:, 0], [2, 0])
    np.testing.assert_array_equal(draw(rows, noise, 5)[:, 0], [2, 0, 3, 2, 0])  # too few


@pytest.mark.parametrize("rounds", [1, 10])
def test_kmeans_finds_groups_and_leaves_codes_without_rows(rounds):
    rng = np.random.default_rng(0)
    centers = np.eye(3)[[0] * 6 + [1] * 4]
    rows = unit(jnp.asarray(centers + 0.05 * rng.standard_normal(centers.shape)))
    start = jnp.stack([rows[0], rows[6], jnp.asarray([0, 0, -1.0])])
    codes, counts = kmeans(rows, jnp.ones(10), start, rounds)
    np.testing.assert_array_equal(counts, [6, 4, 0])
    np.testing.assert_allclose(codes[0], unit(jnp.sum(rows[:6], axis=0)), rtol=1e-5)
    np.testing.assert_array_equal(codes[2:], start[2:])


def test_kmeans_does_not_see_padding():
    rows, start = vectors(9), vectors(2, seed=1)
    weight = jnp.ones(9).at[6:].set(0)
    got, want = kmeans(rows, weight, start, 4), kmeans(rows[:6], jnp.ones(6), start, 4)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
