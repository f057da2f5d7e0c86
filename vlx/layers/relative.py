"""Relative positions: which row of a learned table each pair of tokens takes.

A table has rows for images first, (2 h - 1)(2 w - 1) + 3 for windows of h x w patches, as in BEiT
(arXiv 2106.08254). In a table for images and texts (VLMo) these follow: text to image, image to
text, and 2 M for texts of at most M tokens. The first token of either kind stands for the whole
and has rows of its own. Index arrays are int32, query by key; they are made by the host once.

Letters: h, w rows and columns of patches, I = h w + 1 image tokens, T text tokens, N rows.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vlx.layers import initializers as init
from vlx.layers.module import Module

Array = jax.Array
Grid = tuple[int, int]

SPECIAL = 3  # rows for pairs with a first token: it asks, it is asked, both
CROSS = 2  # rows for text to image and image to text


def image_rows(grid: Grid) -> int:
    """Rows of the table that images take."""
    return (2 * grid[0] - 1) * (2 * grid[1] - 1) + SPECIAL


def table_rows(grid: Grid, longest: int) -> int:
    """Rows of a table for images and texts of at most `longest` tokens."""
    return image_rows(grid) + CROSS + 2 * longest


def image_index(grid: Grid) -> np.ndarray:
    """[I, I]: a class token and patches in rows from the top left."""
    height, width = grid
    row, column = np.divmod(np.arange(height * width), width)
    down = row[:, None] - row + height - 1
    right = column[:, None] - column + width - 1
    return _with_first(down * (2 * width - 1) + right, image_rows(grid))


def text_index(grid: Grid, longest: int, length: int) -> np.ndarray:
    """[T, T] for texts of `length` tokens, in a table of `table_rows(grid, longest)`."""
    if length > longest:
        raise ValueError(f"texts of {length} tokens, relative positions for {longest} at most.")
    position = np.arange(1, length)
    after = position - position[:, None] + longest - 2
    return _with_first(after + image_rows(grid) + CROSS, table_rows(grid, longest))


def pair_index(grid: Grid, longest: int, length: int) -> np.ndarray:
    """[T + I, T + I]: a text and an image after it."""
    text, image = text_index(grid, longest, length), image_index(grid)
    to_image, to_text = image_rows(grid), image_rows(grid) + 1
    across = np.full((len(text), len(image)), to_image, np.int32)
    back = np.full((len(image), len(text)), to_text, np.int32)
    return np.block([[text, across], [back, image]])


def _with_first(index: np.ndarray, end: int) -> np.ndarray:
    """The index with a first token, whose rows are the last before `end`."""
    index = np.pad(index, ((1, 0), (1, 0)))
    index[0, :], index[:, 0], index[0, 0] = end - 3, end - 2, end - 1
    return index.astype(np.int32)


class RelativeBias(Module):
    """What attention adds to its logits: int32 [L, L] -> [heads, L, L], float32."""

    rows: int  # N
    heads: int

    @nn.compact
    def __call__(self, index: Array) -> Array:
        table = self.param("embedding", init.zeros, (self.rows, self.heads))
        return jnp.moveaxis(jnp.take(table, index, axis=0), -1, 0)
