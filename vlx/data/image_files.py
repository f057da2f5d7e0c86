"""Pictures that other files name by their paths."""

import os
from collections.abc import Sequence

from vlx.data.config import DataConfig
from vlx.errors import UserError


def image_folders(config: DataConfig, folder: str) -> tuple[str, ...]:
    """Where relative paths start: data.image_folder, else the list's folder and images/ in it."""
    return (
        (config.image_folder,) if config.image_folder else (folder, os.path.join(folder, "images"))
    )


def read_image(paths: Sequence[str], folders: Sequence[str], place: str) -> bytes:
    """The content of the first file there is, of all paths in all folders.

    Raises UserError that begins with `place` if there is none.
    """
    for folder in folders:
        for path in paths:
            try:
                with open(os.path.join(folder, path), "rb") as file:
                    return file.read()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:  # a null byte in a path is a ValueError
                raise UserError(f"{place}: cannot read the image: {error}.") from error
    raise UserError(
        f"{place}: there is no image {paths[0]!r} in {' or '.join(folders)}; "
        "set data.image_folder to where image paths start."
    )
