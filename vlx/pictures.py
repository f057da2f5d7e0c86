"""Pictures as users hand them over: paths, Pillow images, contents of files, arrays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from vlx.data.decode import decode
from vlx.errors import UserError

Picture = str | Path | bytes | Image.Image | np.ndarray
ONE = (str, Path, bytes, Image.Image)


def several(images: Picture | Sequence[Picture]) -> tuple[Sequence[Picture], bool]:
    """The pictures as a sequence, and whether there was one alone."""
    if isinstance(images, ONE) or (isinstance(images, np.ndarray) and images.ndim < 4):
        return [images], True
    return list(images), False


def read(picture: Picture) -> np.ndarray:
    """Pixels, uint8 [height, width, 3]. Raises UserError that names what cannot be read."""
    if isinstance(picture, bytes):
        return decode(picture)
    if isinstance(picture, Image.Image):
        return np.asarray(picture.convert("RGB"))
    if isinstance(picture, str | Path):
        try:
            return decode(Path(picture).read_bytes())
        except OSError as error:
            raise UserError(f"{picture} cannot be read: {error.strerror}.") from error
        except UserError as error:
            raise UserError(f"{picture}: {error}") from error
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
        raise UserError(
            f"A picture must be uint8 [height, width, 3], not {picture.dtype} "
            f"{list(picture.shape)}; scale it to 0..255 and put colours last."
        )
    return picture
