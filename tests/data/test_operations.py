"""Operations of random augmentation: closed forms, warps that move nothing, and sizes."""

import numpy as np
import pytest
from data.pictures import picture
from PIL import Image, ImageOps

from vlx.data.operations import FILL, OPERATIONS, OVERFLOWING
from vlx.data.picture_operations import PICTURE_OPERATIONS
from vlx.data.warp import rotation, shear, shift, warp


def moderate(operation, level):
    return (operation.amount(level),) if operation.amount else ()


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (37, 3), (130, 101)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_keep_size_and_type_and_their_input(name, size):
    image = picture(1, *size)
    before = image.copy()
    for level in (0, 7, 10):
        result = OPERATIONS[name].apply(image, *moderate(OPERATIONS[name], level))
        assert (result.shape, result.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", PICTURE_OPERATIONS)
def test_picture_operations_keep_size_and_type(name):
    image = picture(1, 7, 31)
    for magnitude in (0, 9, 30):
        operation = PICTURE_OPERATIONS[name]
        result = operation.apply(image, operation.amount(magnitude))
        assert (result.shape, result.dtype) == (image.shape, np.uint8)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_mirrored_view_counts_as_its_copy(name):
    """Arrays need not be contiguous: a flip is a view."""
    image, operation = picture(1, 23, 31), OPERATIONS[name]
    value = moderate(operation, 7)
    want = operation.apply(np.ascontiguousarray(image[:, ::-1]), *value)
    np.testing.assert_array_equal(operation.apply(image[:, ::-1], *value), want)


@pytest.mark.parametrize(
    "matrix", [shift(0.0, 0.0), shear(0.0, 0.0), rotation(0.0, 130, 101), rotation(360.0, 130, 101)]
)
def test_no_movement_changes_nothing(matrix):
    np.testing.assert_array_equal(warp(picture(1, 130, 101), matrix, FILL), picture(1, 130, 101))


def test_shifts_by_whole_pixels_are_slices():
    image = picture(1, 29, 23)
    right = warp(image, shift(3.0, -2.0), (9, 8, 7))
    np.testing.assert_array_equal(right[:-2, 3:], image[2:, :-3])
    assert (right[:, :3] == (9, 8, 7)).all()
    assert (right[-2:] == (9, 8, 7)).all()


def test_half_a_pixel_is_a_mean_and_the_fill_blends_in():
    image = np.full((1, 3, 3), 100, np.uint8)
    got = warp(image, shift(0.5, 0.0), (0, 51, 255))
    np.testing.assert_array_equal(got[0], [[50, 76, 178], [100, 100, 100], [100, 100, 100]])


def test_a_right_angle_turns_counter_clockwise():
    image = picture(1, 20, 20)
    got = warp(image, rotation(90.0, 20, 20), FILL)
    np.testing.assert_array_equal(got[1:], np.rot90(image)[:-1])  # (10, 10) is no middle of pixels
    assert (got[0] == FILL).all()


@pytest.mark.parametrize("matrix", [shift(1e6, 0.0), shift(0.0, -1e6)])
def test_far_away_all_is_fill(matrix):
    assert (warp(picture(1, 11, 13), matrix, (1, 2, 3)) == (1, 2, 3)).all()


def test_auto_contrast_is_pillows():
    image = picture(1, 23, 31) // 2 + 40
    want = np.asarray(ImageOps.autocontrast(Image.fromarray(image)))
    np.testing.assert_array_equal(OPERATIONS["AutoContrast"].apply(image), want)


def test_contrast_that_overflows_stretches_from_black_and_makes_others_white():
    image = np.zeros((1, 3, 3), np.uint8)
    image[0] = [[0, 10, 7], [25, 20, 7], [51, 30, 7]]
    got = OVERFLOWING["AutoContrast"].apply(image)
    np.testing.assert_array_equal(got[0], [[0, 255, 7], [125, 255, 7], [255, 255, 7]])


@pytest.mark.parametrize(("bright", "dark"), [(255, 250), (0, 5)])
def test_sharpness_clips_or_overflows(bright, dark):
    image = np.full((3, 3, 3), dark, np.uint8)
    image[1, 1] = bright
    smooth = round((8 * dark + 5 * bright) / 13)
    value = int(smooth + 1.9 * (bright - smooth))
    assert not 0 <= value <= 255
    clipped, wrapped = (x["Sharpness"].apply(image, 1.9) for x in (OPERATIONS, OVERFLOWING))
    assert (clipped[1, 1] == bright).all()
    assert (wrapped[1, 1] == value % 256).all()
    for got in (clipped, wrapped):
        np.testing.assert_array_equal(got[0], image[0])


def test_only_two_operations_overflow():
    """Where nothing overflows they are equal."""
    image = np.zeros((5, 7, 3), np.uint8)
    image[1:4, 1:6] = 100
    image[2, 2] = 130
    differ = {name for name in OPERATIONS if OPERATIONS[name] != OVERFLOWING[name]}
    assert differ == {"AutoContrast", "Sharpness"}
    for name in differ:
        value = moderate(OPERATIONS[name], 5)
        want = OPERATIONS[name].apply(image, *value)
        np.testing.assert_array_equal(OVERFLOWING[name].apply(image, *value), want)


def test_grey_weighs_the_channels_in_reverse():
    red = np.zeros((1, 1, 3), np.uint8)
    red[..., 0] = 200
    np.testing.assert_array_equal(OPERATIONS["Color"].apply(red, 0.0), [[[22, 22, 22]]])


def test_equalize_makes_values_equally_frequent():
    rng = np.random.default_rng(0)
    dark = (rng.random((160, 170, 3)) ** 3 * 255).astype(np.uint8)
    got = np.sort(OPERATIONS["Equalize"].apply(dark)[..., 0].ravel())
    uniform = np.linspace(0, 255, got.size)
    assert np.abs(got - uniform).mean() < np.abs(np.sort(dark[..., 0].ravel()) - uniform).mean() / 3


def test_thresholds_and_bits():
    image = np.array([[[0, 127, 128]]], np.uint8)
    np.testing.assert_array_equal(OPERATIONS["Solarize"].apply(image, 128), [[[0, 127, 127]]])
    np.testing.assert_array_equal(OPERATIONS["Posterize"].apply(image, 1), [[[0, 0, 128]]])
    np.testing.assert_array_equal(OPERATIONS["Posterize"].apply(image, 8), image)
