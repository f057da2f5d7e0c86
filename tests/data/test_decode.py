"""decode: RGB of 8 bits, upright, from files of many kinds."""

import io

import numpy as np
import pytest
from data.pictures import encoded, picture
from PIL import Image

from vlx.data.decode import decode
from vlx.errors import UserError


def saved(image: Image.Image, form: str, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def test_png_pixels_come_back():
    np.testing.assert_array_equal(decode(encoded(picture(3))), picture(3))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_has_the_pixels_that_pillow_gives(mode, options):
    data = saved(Image.fromarray(picture(5, 37, 41)).convert(mode), "JPEG", **options)
    want = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(data), want)


def test_fast_decoding_is_a_few_levels_off():
    smooth = Image.fromarray(picture(5, 7, 9)).resize((72, 56))
    data = saved(smooth, "JPEG", subsampling=0)
    exact, fast = (decode(data, fast=x).astype(int) for x in (False, True))
    assert 0 < np.abs(fast - exact).mean() < 2


def test_cmyk_jpeg_has_the_pixels_that_pillow_gives():
    data = saved(Image.fromarray(picture(5)).convert("CMYK"), "JPEG")
    want = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(data), want)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_camera_held_upright_gives_an_upright_image(form):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    image = Image.fromarray(picture(7, 11, 13))
    turned = decode(saved(image, form, exif=exif))
    np.testing.assert_array_equal(turned, np.rot90(decode(saved(image, form)), -1))


def test_grey_of_16_bits_keeps_its_high_byte():
    grey = np.arange(5 * 7, dtype=np.uint16).reshape(5, 7) * 1800
    pixels = decode(saved(Image.fromarray(grey), "PNG"))
    np.testing.assert_array_equal(pixels, np.repeat((grey >> 8)[..., None], 3, axis=2))


def test_palette_with_transparency_gives_its_colours():
    image = Image.fromarray(picture(2)).quantize(16)
    data = saved(image, "PNG", transparency=bytes([0, 128] + [255] * 14))
    np.testing.assert_array_equal(decode(data), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    "data", [b"", b"no picture", encoded(picture(1))[:200], encoded(picture(1), "JPEG")[:300]]
)
def test_unreadable_content_is_refused(data):
    with pytest.raises(UserError, match=rf"unreadable image \({len(data)} bytes\)"):
        decode(data)
