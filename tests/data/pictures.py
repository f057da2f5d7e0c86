"""Pictures and lists of them, for tests that need some."""

import io
import json

import numpy as np
from PIL import Image


def picture(number: int, height: int = 11, width: int = 13) -> np.ndarray:
    """Noise whose first pixel's red value is `number`: uint8 [H, W, 3]."""
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
    pixels[0, 0, 0] = number
    return pixels


def encoded(pixels: np.ndarray, form: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, form)
    return content.getvalue()


def write_jsonl(path, rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
