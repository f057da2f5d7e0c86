"""Encoded pictures to pixels."""

import io

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from vlx.errors import UserError


def decode(data: bytes) -> np.ndarray:
    """RGB pixels, uint8 [H, W, 3], upright, of a picture file's content."""
    if data[:2] == b"\xff\xd8" and b"Exif\0" not in data[:65536]:
        try:
            return _decode_jpeg(data)
        except ValueError:
            pass  # CMYK, unusual or damaged: Pillow decides, and says what is wrong
    return _decode_any(data)


def _decode_jpeg(data: bytes) -> np.ndarray:
    """The pixels that Pillow gives, sooner: both are libjpeg-turbo with its exact transform."""
    *_, colours, _ = simplejpeg.decode_jpeg_header(data)
    if colours not in ("YCbCr", "Gray", "RGB"):
        raise ValueError(colours)
    return simplejpeg.decode_jpeg(data, "RGB")


def _decode_any(data: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(_colours(ImageOps.exif_transpose(image)))
    except UnidentifiedImageError:
        raise UserError(f"unreadable image ({len(data)} bytes): no known format.") from None
    except Exception as error:  # Pillow's plugins raise whatever their parser stumbles over
        reason = str(error).rstrip(".")
        raise UserError(f"unreadable image ({len(data)} bytes): {reason}.") from error


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
