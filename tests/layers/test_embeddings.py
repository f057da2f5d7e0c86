"""Patches are a convolution; tables of positions and tokens; patches that are kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers.embeddings import Patches, Tokens, keep_patches, sine_positions

KEY = jax.random.key(0)


@pytest.mark.parametrize("size", [(6, 9), (8, 11)], ids=["whole", "with a rest"])
def test_patches_are_a_strided_convolution(size):
    image = jax.random.normal(KEY, (2, *size, 3))
    module = Patches(5, 3, bias=True)
    params = module.init(KEY, image)["params"]
    params["projection"]["bias"] = jnp.arange(5.0)
    want = jax.lax.conv_general_dilated(
        image,
        params["projection"]["kernel"],
        (3, 3),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    got = module.apply({"params": params}, image)
    assert got.shape == (2, 6, 5)
    np.testing.assert_allclose(got, want.reshape(2, 6, 5) + np.arange(5.0), rtol=1e-5, atol=1e-5)


def test_sine_positions_of_one_frequency():
    rows = [[np.sin(x), np.cos(x), np.sin(y), np.cos(y)] for y in range(2) for x in range(3)]
    np.testing.assert_allclose(sine_positions(2, 3, 4, class_token=False), rows, atol=1e-6)
    with_class = sine_positions(2, 3, 4, class_token=True)
    np.testing.assert_allclose(with_class, [[0.0] * 4, *rows], atol=1e-6)


def test_frequencies_fall_from_one_towards_a_ten_thousandth():
    table = sine_positions(1, 2, 8, class_token=False)
    np.testing.assert_allclose(table[1, :4], [*np.sin([1, 0.01]), *np.cos([1, 0.01])], atol=1e-6)


def test_sine_positions_need_four_channels_at_least():
    with pytest.raises(ValueError, match="divisible by 4, not 6"):
        sine_positions(2, 3, 6, class_token=False)


@pytest.mark.parametrize(("share", "kept"), [(0.5, 3), (0.3, 2), (0.01, 1), (1.0, 7)])
def test_the_patches_of_largest_noise_stay(share, kept):
    x = jax.random.normal(KEY, (2, 7, 5))
    noise = jax.random.normal(jax.random.key(1), (2, 7))
    got = np.asarray(keep_patches(x, noise, share))
    want = [x[i, np.sort(np.argsort(noise[i])[-kept:])] for i in range(2)]
    order = np.argsort(got[..., 0], axis=1)[..., None]
    sorted_want = np.take_along_axis(
        np.stack(want), np.argsort(np.stack(want)[..., 0], axis=1)[..., None], axis=1
    )
    np.testing.assert_array_equal(np.take_along_axis(got, order, axis=1), sorted_want)


def test_the_padding_row_starts_at_zero_and_gets_no_gradient():
    module = Tokens(7, 5, padding=3)
    ids = jnp.array([[1, 3, 3], [3, 6, 1]])
    params = module.init(KEY, ids)
    np.testing.assert_array_equal(params["params"]["embedding"][3], np.zeros(5))
    gradient = jax.grad(lambda p: jnp.sum(module.apply(p, ids)))(params)["params"]["embedding"]
    np.testing.assert_array_equal(gradient, np.outer([0, 2, 0, 0, 0, 0, 1], np.ones(5)))


def test_without_padding_every_row_learns():
    module, ids = Tokens(7, 5), jnp.array([[1, 3, 3]])
    gradient = jax.grad(lambda p: jnp.sum(module.apply(p, ids)))(module.init(KEY, ids))
    np.testing.assert_array_equal(gradient["params"]["embedding"][:, 0], [0, 1, 0, 2, 0, 0, 0])


def test_logits_are_products_with_the_rows():
    module, x = Tokens(7, 5), jax.random.normal(KEY, (2, 3, 5))
    params = module.init(KEY, jnp.zeros((1, 1), jnp.int32))
    got = module.apply(params, x, method="logits")
    np.testing.assert_allclose(got, x @ params["params"]["embedding"].T, rtol=1e-5, atol=1e-6)
