"""Images as a Transformer reads them: a class token and patches, some of which may be hidden.

Letters: B batch, P patches, D width.
"""

from dataclasses import dataclass

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from vlx.layers import initializers as init
from vlx.layers.embeddings import Patches
from vlx.layers.module import Module

Array = jax.Array


@dataclass(frozen=True)
class ImageTokensConfig:
    image_size: tuple[int, int]  # height, width
    patch: int
    width: int
    channels: int = 3
    positions: bool = False  # a learned vector for each token
    reserved: int = 0  # rows of positions before the first that is read
    mask_token: bool = False  # a learned vector in place of hidden patches
    deviation: float = 0.02  # of fresh tokens and of truncated kernels
    position_deviation: float | None = None  # of fresh positions, by default the same
    truncated: bool = False  # all kernels at one deviation; else patches start as PyTorch's

    @property
    def patches(self) -> int:
        return (self.image_size[0] // self.patch) * (self.image_size[1] // self.patch)


class ImageTokens(Module):
    """[B, height, width, channels] -> [B, 1 + P, D], the class token first."""

    config: ImageTokensConfig
    dtype: str = "float32"

    @nn.compact
    def __call__(self, image: Array, hidden: Array | None = None) -> Array:
        """image: normalised floats; hidden: bool [B, P], patches that are masked."""
        c = self.config
        chex.assert_shape(image, (None, *c.image_size, c.channels))
        token = init.cut_normal(c.deviation) if c.truncated else init.normal(c.deviation)
        start = {"kernel_init": token}
        if not c.truncated:
            limit = init.uniform((c.channels * c.patch**2) ** -0.5)
            start = {"kernel_init": limit, "bias_init": limit}
        patches = Patches(c.width, c.patch, bias=True, dtype=self.dtype, name="patches", **start)
        x = patches(image.astype(self.dtype))
        first = self.param("class_token", token, (c.width,)).astype(x.dtype)
        if c.mask_token:
            mask_token = self.param("mask_token", token, (c.width,)).astype(x.dtype)
            if hidden is not None:
                x = jnp.where(hidden[:, :, None], mask_token, x)
        x = jnp.concatenate([jnp.broadcast_to(first, (len(x), 1, c.width)), x], axis=1)
        if c.positions:
            start = token if c.position_deviation is None else init.normal(c.position_deviation)
            rows = c.reserved + 1 + c.patches
            x = x + self.param("positions", start, (rows, c.width))[c.reserved :].astype(x.dtype)
        return x
