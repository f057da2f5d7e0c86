"""Encoded pictures to pixels."""

import io
from functools import cache

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from vlx.errors import UserError

MAX_PIXELS = 100_000_000

# Pictures, not the scripts and documents that Pillow would hand to other programs.
_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "JPEG2000", "PPM")


def decode(data: bytes, max_pixels: int = MAX_PIXELS, fast: bool = False) -> np.ndarray:
    """RGB pixels, uint8 [H, W, 3], upright, of a picture file's content.

    Of an animation it is the first picture. Headers are read first: a picture of more than
    `max_pixels` takes no memory. (Pillow, which reads all but plain JPEG, has a limit of its own.)
    fast: plain JPEG by the quicker of libjpeg-turbo's transforms, a few levels off.
    """
    if data[:2] == b"\xff\xd8" and b"Exif\0" not in data[:65536]:
        try:
            return _decode_jpeg(data, max_pixels, fast)
        except ValueError:
            pass  # CMYK, unusual or damaged: Pillow decides, and says what is wrong
    return _decode_any(data, max_pixels)


def _decode_jpeg(data: bytes, max_pixels: int, fast: bool) -> np.ndarray:
    """Unless fast the pixels that Pillow gives, sooner: both are libjpeg-turbo."""
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    _check_size(width, height, max_pixels)
    if colours not in ("YCbCr", "Gray", "RGB"):
        raise ValueError(colours)
    return simplejpeg.decode_jpeg(data, "RGB", fastdct=fast, fastupsample=fast)


def _decode_any(data: bytes, max_pixels: int) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            _check_size(*image.size, max_pixels)
            return np.asarray(_colours(ImageOps.exif_transpose(image)))
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(f"unreadable image ({len(data)} bytes): no known format.") from None
    except Exception as error:  # Pillow's plugins raise whatever their parser stumbles over
        reason = str(error).rstrip(".")
        raise UserError(f"unreadable image ({len(data)} bytes): {reason}.") from error


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise UserError(
            f"the image is too large: {width} x {height} pixels; shrink it, or raise "
            f"data.max_pixels={max_pixels}."
        )


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _colours(image: Image.Image) -> Image.Image:
    """RGB of 8 bits; transparency is dropped."""
    if image.mode in ("I", "I;16", "I;16B", "I;16L"):
        image = Image.fromarray(_high_byte(np.asarray(image)))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # else Pillow warns, for each such image
    return image.convert("RGB")


def _high_byte(grey: np.ndarray) -> np.ndarray:
    """16 bits to 8, where Pillow would clip all but the darkest to white."""
    return (grey.astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
