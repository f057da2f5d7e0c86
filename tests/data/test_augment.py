"""Crops and resizes: within the image, reproducible, and by the sizes' closed forms."""

import numpy as np
import pytest
from data.pictures import picture
from PIL import Image

from vlx.data.augment import crop_and_resize, draw_box, evaluation_resize

RATIO = (3 / 4, 4 / 3)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 500), (500, 3), (37, 53)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.9, 1.0), (1.0, 1.0)])
def test_boxes_lie_within_the_image(height, width, scale):
    for seed in range(50):
        top, left, h, w = draw_box(height, width, np.random.default_rng(seed), scale, RATIO)
        assert 0 <= top <= top + h <= height
        assert 0 <= left <= left + w <= width
        assert h > 0
        assert w > 0


def test_boxes_keep_area_and_ratio():
    for seed in range(50):
        _, _, h, w = draw_box(500, 600, np.random.default_rng(seed), (0.2, 0.5), RATIO)
        assert 0.195 < h * w / (500 * 600) < 0.505
        assert RATIO[0] * 0.99 < w / h < RATIO[1] * 1.01


def test_an_image_too_wide_for_any_box_is_cut_centrally():
    box = draw_box(30, 1000, np.random.default_rng(0), (0.9, 1.0), RATIO)
    assert box == (0, 480, 30, 40)


def test_a_crop_does_not_see_past_its_box():
    image = picture(1, 37, 53)
    box = (5, 7, 23, 29)
    want = crop_and_resize(image, box, 11)
    image[:5], image[28:], image[:, :7], image[:, 36:] = 0, 0, 0, 0
    np.testing.assert_array_equal(crop_and_resize(image, box, 11), want)


def test_area_is_the_mean_of_what_a_pixel_covers():
    image = picture(1, 16, 24)
    want = image.reshape(8, 2, 12, 2, 3).mean(axis=(1, 3))
    got = crop_and_resize(image, (0, 0, 16, 24), (8, 12), "area")
    assert np.abs(got - want).max() <= 0.5


def test_linear_keeps_a_ramp_of_colours_a_ramp():
    image = np.broadcast_to(10 * np.arange(24, dtype=np.uint8)[:, None], (16, 24, 3))
    got = crop_and_resize(image, (0, 4, 16, 18), (8, 12), "linear")
    want = 10 * (4 + 1.5 * (np.arange(12) + 0.5) - 0.5)  # at the centres of the new pixels
    assert np.abs(got - want[:, None]).max() <= 0.5


@pytest.mark.parametrize("interpolation", ["area", "linear"])
def test_quick_filters_give_evaluation_what_they_give_training(interpolation):
    image = picture(1, 31, 31)
    want = crop_and_resize(image, (0, 0, 31, 31), 17, interpolation)
    got = evaluation_resize(image, 17, "shortest", interpolation)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
def test_an_image_of_the_right_size_stays(mode):
    image = picture(1, 17, 17)
    np.testing.assert_array_equal(evaluation_resize(image, 17, mode), image)


def test_shortest_scales_the_short_side_and_cuts_the_long_one():
    image = picture(1, 20, 33)
    scaled = Image.fromarray(image).resize((16, 10), Image.Resampling.BICUBIC)  # int(10 * 33 / 20)
    want = np.asarray(scaled)[:, 3:13]
    np.testing.assert_array_equal(evaluation_resize(image, 10), want)


def test_offsets_round_half_to_even():
    image = picture(1, 10, 15)  # (15 - 10) / 2 = 2.5 -> 2
    np.testing.assert_array_equal(evaluation_resize(image, 10), image[:, 2:12])
    image = picture(1, 10, 17)  # (17 - 10) / 2 = 3.5 -> 4
    np.testing.assert_array_equal(evaluation_resize(image, 10), image[:, 4:14])


def test_longest_fills_what_is_left():
    image = picture(1, 7, 12)
    out = evaluation_resize(image, 12, "longest", fill=77)
    np.testing.assert_array_equal(out[2:9], image)
    assert (out[:2] == 77).all()
    assert (out[9:] == 77).all()


def test_a_rectangle_is_height_and_width():
    for mode in ("shortest", "squash", "longest"):
        assert evaluation_resize(picture(1, 20, 33), (9, 14), mode).shape == (9, 14, 3)


def test_a_square_is_the_same_however_its_size_is_given():
    image = np.random.default_rng(0).integers(0, 256, (50, 83, 3), dtype=np.uint8)
    for interpolation in ("bicubic", "bilinear"):
        want = evaluation_resize(image, 17, "shortest", interpolation)
        got = evaluation_resize(image, (17, 17), "shortest", interpolation)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("height", "width", "want"),
    [(37, 53, (32, 32)), (100, 300, (32, 64)), (60, 61, (32, 32)), (5, 5, (32, 32))],
)
def test_pixelbert_keeps_the_shape_in_patches_of_32(height, width, want):
    assert evaluation_resize(picture(1, height, width), 40, "pixelbert").shape == (*want, 3)


def test_pixelbert_of_the_published_size():
    """480 x 640 on 384: 384 x 512; a panorama is limited to int(1333 / 800 * 384) = 639."""
    assert evaluation_resize(picture(1, 480, 640), 384, "pixelbert").shape == (384, 512, 3)
    assert evaluation_resize(picture(1, 100, 1000), 384, "pixelbert").shape == (64, 608, 3)


def test_a_part_of_the_covered_side_is_the_middle_of_a_larger_resize():
    image = picture(3, 40, 56)
    whole = evaluation_resize(image, 32)  # 32 x 44, of which 32 are seen
    np.testing.assert_array_equal(evaluation_resize(image, 32, part=1.0), whole)
    np.testing.assert_array_equal(evaluation_resize(image, 28, part=28 / 32), whole[2:-2, 2:-2])
