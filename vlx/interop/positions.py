"""Position tables of another image size or text length.

Letters: P patches, D width, T text length.
"""

import math

import jax
import numpy as np


def resize_grid(table: np.ndarray, grid: tuple[int, int], extra: int) -> np.ndarray:
    """A table for rows x columns patches: [extra + P, D] -> [extra + rows * columns, D].

    The first `extra` rows (class token) stay. Bicubic with antialiasing, half-pixel centres, as
    open_clip; the old grid is taken as square.
    """
    first, rest = table[:extra], table[extra:]
    side = math.isqrt(len(rest))
    if (side, side) == tuple(grid):
        return table
    square = rest.reshape(side, side, -1)
    shape = (*grid, rest.shape[-1])
    rest = jax.image.resize(square, shape, "bicubic", antialias=True).reshape(-1, shape[-1])
    return np.concatenate([first, np.asarray(rest)])


def resize_length(table: np.ndarray, length: int) -> np.ndarray:
    """A table for another text length: [T, D] -> [length, D], linear, without antialiasing.

    All rows take part, a class token's too, as in open_clip.
    """
    if len(table) == length:
        return table
    return np.asarray(jax.image.resize(table, (length, table.shape[1]), "linear", antialias=False))
