"""Maps of other sizes: closed forms."""

import numpy as np
import pytest

from vlx.layers.resample import adaptive_mean, bilinear, bilinear_weights, mean_weights


def test_twice_the_size_lies_a_quarter_off():
    """Half-pixel centres: between 0 and 4 lie 1 and 3, beyond the border is the border."""
    np.testing.assert_allclose(bilinear_weights(2, 4) @ [0, 4], [0, 1, 3, 4])


def test_a_smaller_map_skips_what_lies_between():
    np.testing.assert_allclose(bilinear_weights(9, 3) @ np.arange(9), [1, 4, 7])


@pytest.mark.parametrize("old", [1, 2, 5, 7])
@pytest.mark.parametrize("new", [1, 3, 6, 11])
def test_weights_sum_to_one(old, new):
    for weights in (bilinear_weights(old, new), mean_weights(old, new)):
        assert weights.shape == (new, old)
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)


def test_parts_overlap_where_the_sides_do_not_divide():
    """Five in three: 0..1, 1..3 and 3..4."""
    np.testing.assert_allclose(mean_weights(5, 3) @ [1, 3, 5, 7, 9], [2, 5, 8])


def test_both_axes_are_resampled_and_channels_are_not_mixed():
    ramp = np.stack(np.meshgrid([0.0, 4.0], [0.0, 8.0], indexing="ij"), axis=-1)[None]
    ramp = ramp.astype(np.float32)
    got = np.asarray(bilinear(ramp, (4, 2)))
    np.testing.assert_allclose(got[0, :, 0, 0], [0, 1, 3, 4])
    np.testing.assert_allclose(got[0, 0, :, 1], [0, 8])
    np.testing.assert_allclose(adaptive_mean(ramp, (1, 1)), [[[[2, 4]]]])
    assert bilinear(ramp, (2, 2)) is ramp
