"""Tables of relative positions for another image size or text length.

`vlx/layers/relative.py` says which rows a table has. Letters: h, w rows and columns of patches,
N rows of a table, H heads.
"""

import numpy as np

from vlx.errors import UserError
from vlx.layers.relative import CROSS, SPECIAL, Grid, image_rows, table_rows

SMALLEST, LARGEST = 1.01, 1.5  # growth of the distances between the old offsets
PRECISION = 1e-6


def resize_relative_table(table: np.ndarray, old: Grid, new: Grid) -> np.ndarray:
    """The rows of images for another grid: [image_rows(old), H] -> [image_rows(new), H].

    As in BEiT's code: the old offsets are spread out, the further the farther from the centre, and
    a bicubic spline through them is read at the new ones. Rows of the class token stay. A smaller
    grid takes the old one's centre. Raises UserError for grids of fewer than 3 x 3 patches.
    """
    if old == new:
        return table
    if min(old) < 3:
        raise UserError(
            f"Relative positions of {old[0]} x {old[1]} patches are too few to be resized to "
            f"{new[0]} x {new[1]}; take model.image_size of the trained model, or one with at "
            "least 3 x 3 patches."
        )
    from scipy.interpolate import RectBivariateSpline  # half a second that few commands need

    lengths = [2 * side - 1 for side in old]
    wanted = [2 * side - 1 for side in new]
    sources = [spread_offsets(*pair) for pair in zip(lengths, wanted, strict=True)]
    targets = [
        np.clip(np.arange(n) - n // 2, source[0], source[-1])
        for n, source in zip(wanted, sources, strict=True)
    ]
    grids = table[:-SPECIAL].reshape(*lengths, -1).astype(np.float64)
    read = [
        RectBivariateSpline(*sources, grid, kx=3, ky=3)(*targets)
        for grid in np.moveaxis(grids, -1, 0)
    ]
    rows = np.stack(read, axis=-1).reshape(-1, table.shape[1])
    return np.concatenate([rows.astype(table.dtype), table[-SPECIAL:]])


def spread_offsets(length: int, wanted: int) -> np.ndarray:
    """Where the old offsets lie among the new: symmetric, with steps 1, q, q^2, ... from 0."""
    half = length // 2
    low, high = SMALLEST, LARGEST
    while high - low > PRECISION:
        growth = (low + high) / 2
        reach = (growth**half - 1) / (growth - 1)
        low, high = (low, growth) if reach > wanted // 2 else (growth, high)
    right = np.cumsum(growth ** np.arange(half))
    return np.concatenate([-right[::-1], [0], right])


def fit_relative_table(
    table: np.ndarray, old: tuple[Grid, int], new: tuple[Grid, int]
) -> np.ma.MaskedArray:
    """A table for another (grid, longest text); what the old one has no row for is masked.

    Texts of at most 0 tokens are those of a table for images alone. Of texts the rows of the same
    distance are taken. [N, H] -> [N', H].
    """
    (old_grid, old_longest), (grid, longest) = old, new
    rows = table_rows(grid, longest) if longest else image_rows(grid)
    result = np.ma.masked_all((rows, table.shape[1]), table.dtype)
    images = image_rows(grid)
    result[:images] = resize_relative_table(table[: image_rows(old_grid)], old_grid, grid)
    if not (longest and old_longest):
        return result
    texts, rest = result[images:], table[image_rows(old_grid) :]
    texts[:CROSS], texts[-SPECIAL:] = rest[:CROSS], rest[-SPECIAL:]
    far = min(longest, old_longest) - 2  # the farthest two tokens after the first, in both
    middle, old_middle = (CROSS + most - 2 for most in (longest, old_longest))
    texts[middle - far : middle + far + 1] = rest[old_middle - far : old_middle + far + 1]
    return result
