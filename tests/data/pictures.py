"""Pictures and lists of them, for tests that need some."""

import io
import json
import tarfile

import numpy as np
from PIL import Image

from vlx.data.decode import decode


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


def write_tar(path, samples: dict[str, dict[str, bytes]]) -> None:
    """A tar of samples: name -> ending -> content, as {"000": {"png": b"...", "txt": b"..."}}."""
    with tarfile.open(path, "w") as tar:
        for name, members in samples.items():
            for ending, content in members.items():
                member = tarfile.TarInfo(f"{name}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def sample(number: int) -> dict[str, bytes]:
    return {"png": encoded(picture(number)), "txt": f"words on {number}".encode()}


def numbers(source) -> list[int]:
    """Which pictures a source has, from their first pixel."""
    return [int(decode(source[index]["image"])[0, 0, 0]) for index in range(len(source))]
