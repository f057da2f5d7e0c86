"""Position tables of another image size or text length.

Letters: P patches, D width, T text length.
"""

import math

import jax
import numpy as np

from vlx.errors import UserError


def resize_grid(
    table: np.ndarray, grid: tuple[int, int], extra: int, old: tuple[int, int] | None = None
) -> np.ndarray:
    """A table for rows x columns patches: [extra + P, D] -> [extra + rows * columns, D].

    The first `extra` rows (class token) stay. Bicubic with antialiasing, half-pixel centres, as
    open_clip, which takes the old grid as square; `old` says what it was.
    """
    first, rest = table[:extra], table[extra:]
    old = old or _square(len(rest))
    if tuple(old) == tuple(grid):
        return table
    square = rest.reshape(*old, -1)
    shape = (*grid, rest.shape[-1])
    rest = jax.image.resize(square, shape, "bicubic", antialias=True).reshape(-1, shape[-1])
    return np.concatenate([first, np.asarray(rest)])


def _square(patches: int) -> tuple[int, int]:
    side = math.isqrt(patches)
    if side * side != patches:
        raise UserError(
            f"The file's {patches} image positions make no square, so their order is unknown; put "
            "its config beside it."
        )
    return side, side


def resize_length(table: np.ndarray, length: int) -> np.ndarray:
    """A table for another text length: [T, D] -> [length, D], linear, without antialiasing.

    All rows take part, a class token's too, as in open_clip.
    """
    if len(table) == length:
        return table
    return np.asarray(jax.image.resize(table, (length, table.shape[1]), "linear", antialias=False))
