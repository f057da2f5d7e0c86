"""Encoded pictures to pixels."""

import io
import warnings

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about size and palette; limits raise
            with Image.open(io.BytesIO(data)) as image:
                return np.asarray(_eight_bits(ImageOps.exif_transpose(image)).convert("RGB"))
    except Exception as error:  # Pillow's plugins raise whatever their parser stumbles over
        raise UserError(f"unreadable image ({len(data)} bytes): {error}.") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits loses its lower byte; `convert` alone would clip it to white."""
    if image.mode not in ("I", "I;16", "I;16B", "I;16L"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
