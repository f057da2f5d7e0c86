"""Maps of other sizes, as PyTorch makes them: bilinear, and means over equal parts.

Both are products with a matrix for each axis, which the host makes once.

Letters: B batch, h, w rows and columns, H, W new ones, C channels.
"""

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


def bilinear(x: Array, size: tuple[int, int]) -> Array:
    """Between four neighbours' centres, without antialiasing: [B, h, w, C] -> [B, H, W, C]."""
    return _resampled(x, bilinear_weights, size)


def adaptive_mean(x: Array, size: tuple[int, int]) -> Array:
    """Means over H x W parts, which overlap where the sides do not divide: [B, H, W, C]."""
    return _resampled(x, mean_weights, size)


def bilinear_weights(old: int, new: int) -> np.ndarray:
    """What each old point counts in each new one: [new, old]; beyond the border the border does."""
    place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    first = np.minimum(np.floor(place).astype(int), max(old - 2, 0))
    weights = np.zeros((new, old), np.float32)
    rows, share = np.arange(new), place - first
    np.add.at(weights, (rows, first), 1 - share)
    np.add.at(weights, (rows, np.minimum(first + 1, old - 1)), share)
    return weights


def mean_weights(old: int, new: int) -> np.ndarray:
    """As `bilinear_weights`, of means from floor(i old / new) to ceil((i + 1) old / new)."""
    weights = np.zeros((new, old), np.float32)
    for i in range(new):
        first, end = i * old // new, -(-(i + 1) * old // new)
        weights[i, first:end] = 1 / (end - first)
    return weights


def _resampled(x: Array, weights, size: tuple[int, int]) -> Array:
    if x.shape[1:3] == tuple(size):
        return x
    down, along = (
        jnp.asarray(weights(*pair), x.dtype) for pair in zip(x.shape[1:3], size, strict=True)
    )
    return jnp.einsum("Hh,Ww,BhwC->BHWC", down, along, x)
