"""From pixels and token ids to vectors, and tables of positions.

Letters: B batch, P patches, T text length, D width, V vocabulary.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vlx.layers import initializers as init
from vlx.layers.module import DenseGeneral, Module
from vlx.parallel.collectives import whole_rows

Array = jax.Array


class SquarePatches:
    """What configs of models that cut images into patches have in common."""

    image_size: tuple[int, int]  # height, width
    patch: int  # pixels of a side

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.image_size[0] // self.patch, self.image_size[1] // self.patch


class Patches(Module):
    """Pixels to patch vectors, in rows from the top left: [B, height, width, 3] -> [B, P, D].

    The convolution whose stride is its size, written as the matrix product that it is.
    """

    width: int
    size: int
    bias: bool = False
    kernel_init: init.Initializer = init.fan_in_uniform()
    bias_init: init.Initializer = init.zeros
    dtype: str = "float32"

    @nn.compact
    def __call__(self, image: Array) -> Array:
        batch, height, width, channels = image.shape
        p, rows, columns = self.size, height // self.size, width // self.size
        x = image[:, : rows * p, : columns * p]  # what fills no patch is left out, as a stride does
        x = x.reshape(batch, rows, p, columns, p, channels).swapaxes(2, 3)
        x = x.reshape(batch, rows * columns, p, p, channels)
        return DenseGeneral(
            self.width,
            axis=(-3, -2, -1),
            use_bias=self.bias,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            dtype=self.dtype,
            name="projection",
        )(x)


class Tokens(Module):
    """Rows of a learned table by id: int32 [B, T] -> [B, T, D]."""

    vocabulary: int
    width: int
    deviation: float = 0.02
    padding: int | None = None  # a row that no gradient reaches
    padding_is_zero: bool = True  # that row starts at zero
    dtype: str = "float32"

    def setup(self):
        self.embedding = self.param("embedding", self._initial, (self.vocabulary, self.width))

    def _initial(self, key: Array, shape: tuple[int, ...]) -> Array:
        table = init.normal(self.deviation)(key, shape)
        if self.padding is None or not self.padding_is_zero:
            return table
        return table.at[self.padding].set(0)

    def __call__(self, ids: Array) -> Array:
        x = jnp.take(whole_rows(self.embedding), ids, axis=0).astype(self.dtype)
        if self.padding is not None:
            x = jnp.where((ids == self.padding)[..., None], jax.lax.stop_gradient(x), x)
        return x

    def logits(self, x: Array) -> Array:
        """Products of x with every row of the table: [B, T, D] -> [B, T, V]."""
        return jnp.einsum("BTD,VD->BTV", x, self.embedding.astype(self.dtype))


def sine_positions(rows: int, columns: int, width: int, class_token: bool) -> np.ndarray:
    """Fixed two-dimensional positions [(1 +) rows * columns, D], as open_clip's `sin_cos_2d`.

    The first half of the channels encodes the column, the second half the row; each half holds
    the sines of all frequencies, then the cosines. A class token's row is zero.
    """
    if width % 4:
        raise ValueError(f"sine positions need a width divisible by 4, not {width}.")
    frequency = 10000.0 ** (-np.arange(width // 4) / (width // 4))
    row, column = np.divmod(np.arange(rows * columns), columns)
    angles = np.stack([column, row])[:, :, None] * frequency  # 2, P, D/4
    halves = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)  # 2, P, D/2
    table = np.concatenate(list(halves), axis=-1).astype(np.float32)
    return np.pad(table, ((int(class_token), 0), (0, 0)))


def keep_patches(x: Array, noise: Array, share: float) -> Array:
    """The `share` of patches with the largest noise, at least one: [B, P, D] -> [B, kept, D].

    noise: [B, P]. Patch dropout (arXiv 2212.00794); the order of what is kept does not matter to a
    Transformer, since positions are already added.
    """
    kept = max(1, int(x.shape[1] * share))
    _, index = jax.lax.top_k(noise, kept)
    return jnp.take_along_axis(x, index[:, :, None], axis=1)
