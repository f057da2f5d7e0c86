"""Position tables of another image size or text length.

Letters: P patches, D width, T text length.
"""

import math

import jax
import numpy as np

from vlx.errors import UserError


def resize_grid(
    table: np.ndarray,
    grid: tuple[int, int],
    extra: int,
    old: tuple[int, int] | None = None,
    antialias: bool = True,
) -> np.ndarray:
    """A table for rows x columns patches: [extra + P, D] -> [extra + rows * columns, D].

    The first `extra` rows (class token) stay. Bicubic with half-pixel centres: antialiased as in
    open_clip, else as in BEiT, which differs in the curve and at the borders too. Both take the old
    grid as square; `old` says what it was.
    """
    first, rest = table[:extra], table[extra:]
    old = old or _square(len(rest))
    if tuple(old) == tuple(grid):
        return table
    square = rest.reshape(*old, -1)
    shape = (*grid, rest.shape[-1])
    if antialias:
        rest = np.asarray(jax.image.resize(square, shape, "bicubic", antialias=True))
    else:
        down, along = (_sharp_cubic(*pair) for pair in zip(old, grid, strict=True))
        rest = np.einsum("Rr,Cc,rcD->RCD", down, along, square).astype(table.dtype)
    return np.concatenate([first, rest.reshape(-1, shape[-1])])


def _sharp_cubic(old: int, new: int, sharpness: float = 0.75) -> np.ndarray:
    """Weights of the old points in each new one, as PyTorch's bicubic: [new, old].

    Four neighbours count, beyond the border the border itself.
    """
    place = (np.arange(new) + 0.5) * old / new - 0.5
    first, a = np.floor(place).astype(int), -sharpness
    weights = np.zeros((new, old))
    for step in range(-1, 3):
        x = np.abs(place - (first + step))
        near = ((a + 2) * x - (a + 3)) * x**2 + 1
        far = a * (((x - 5) * x + 8) * x - 4)
        np.add.at(
            weights,
            (np.arange(new), np.clip(first + step, 0, old - 1)),
            np.where(x <= 1, near, far),
        )
    return weights


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
