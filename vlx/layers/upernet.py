"""From features of a plain Transformer to a class for every pixel: pyramid, UPerNet and FCN heads.

Papers: "Unified Perceptual Parsing for Scene Understanding", arXiv 1807.10221, whose top level has
the pyramid pooling of arXiv 1612.01105; "Fully Convolutional Networks for Semantic Segmentation",
arXiv 1411.4038. Details follow mmsegmentation 0.11.

Letters: B batch, h, w rows and columns of a level, D width of features, C channels of a head,
K classes.
"""

from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from vlx.layers import initializers as init
from vlx.layers.batch_norm import BatchNorm
from vlx.layers.module import Conv, Module
from vlx.layers.resample import adaptive_mean, bilinear

Array = jax.Array


@dataclass(frozen=True)
class HeadConfig:
    classes: int  # K
    channels: int  # C
    scales: tuple[int, ...] = (1, 2, 3, 6)  # parts in a row of the pooled maps; UPerNet alone
    dropout: float = 0.1  # of whole channels before the classifier
    epsilon: float = 1e-5


class Double(Module):
    """Every place becomes 2 x 2 by a product: [B, h, w, D] -> [B, 2 h, 2 w, D].

    The transposed convolution whose stride is its size, written as what it is.
    """

    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        width = x.shape[-1]
        start = init.uniform((4 * width) ** -0.5)  # PyTorch's
        kernel = self.param("kernel", start, (2, 2, width, width))
        bias = self.param("bias", start, (width,))
        kernel, bias = kernel.astype(self.dtype), bias.astype(self.dtype)
        y = jnp.einsum("Bhwd,yxdD->BhywxD", x.astype(self.dtype), kernel)
        batch, h, _, w, _, _ = y.shape
        return y.reshape(batch, 2 * h, 2 * w, width) + bias


class Pyramid(Module):
    """Four maps of features at steps of 4, 8, 16 and 32 pixels, from four at one step.

    Patches of 16 pixels are made finer twice, those of 8 once.
    """

    patch: int
    epsilon: float = 1e-5
    dtype: str = "float32"

    def setup(self):
        double = partial(Double, self.dtype)
        self.double_0 = double()
        if self.patch == 16:
            self.norm = BatchNorm(self.epsilon, self.dtype)
            self.double_0_again = double()
            self.double_1 = double()

    def __call__(self, features: tuple[Array, ...], group: int | None = None) -> list[Array]:
        """features: four times [B, h, w, D]; group: in training, see BatchNorm."""
        first, second, third, fourth = features
        if self.patch == 16:
            y = nn.gelu(self.norm(self.double_0(first), group), approximate=False)
            return [self.double_0_again(y), self.double_1(second), third, _pooled(fourth, 2)]
        return [self.double_0(first), second, _pooled(third, 2), _pooled(fourth, 4)]


def _pooled(x: Array, size: int) -> Array:
    return nn.max_pool(x, (size, size), (size, size))


class ConvBlock(Module):
    """Convolution, batch norm, ReLU: [B, h, w, any] -> [B, h, w, C]."""

    channels: int
    size: int
    epsilon: float
    dtype: str

    @nn.compact
    def __call__(self, x: Array, group: int | None = None) -> Array:
        shape = self.size, self.size
        start = init.normal((2 / (self.channels * self.size**2)) ** 0.5)  # He's, by outputs
        conv = Conv(self.channels, shape, use_bias=False, kernel_init=start, dtype=self.dtype)
        x = conv.copy(name="convolution")(x)
        return nn.relu(BatchNorm(self.epsilon, self.dtype, name="norm")(x, group))


class Classify(Module):
    """Logits of every place after dropout of channels: [B, h, w, C] -> [B, h, w, K]."""

    config: HeadConfig
    dtype: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        off = not self.has_rng("dropout")
        x = nn.Dropout(self.config.dropout, broadcast_dims=(1, 2), deterministic=off)(x)
        start = init.normal(0.01)
        return Conv(
            self.config.classes, (1, 1), kernel_init=start, dtype=self.dtype, name="classifier"
        )(x)


class UperHead(Module):
    """Logits at the finest level, from maps of all levels: [B, h, w, K]."""

    config: HeadConfig
    levels: int
    dtype: str = "float32"

    def setup(self):
        c = self.config
        block = partial(ConvBlock, c.channels, epsilon=c.epsilon, dtype=self.dtype)
        self.pooled = [block(1) for _ in c.scales]
        self.top = block(3)
        self.lateral = [block(1) for _ in range(self.levels - 1)]
        self.smooth = [block(3) for _ in range(self.levels - 1)]
        self.fuse = block(3)
        self.classify = Classify(c, self.dtype)

    def __call__(self, maps: list[Array], group: int | None = None) -> Array:
        """maps: from the finest; group: in training, see BatchNorm."""
        *lower, last = maps
        sums = [lateral(x, group) for lateral, x in zip(self.lateral, lower, strict=True)]
        sums.append(self._survey(last, group))
        for level in reversed(range(len(lower))):  # what is seen from above comes down
            sums[level] += bilinear(sums[level + 1], sums[level].shape[1:3])
        levels = [smooth(x, group) for smooth, x in zip(self.smooth, sums[:-1], strict=True)]
        finest = sums[0].shape[1:3]
        levels = [bilinear(x, finest) for x in (*levels, sums[-1])]
        return self.classify(self.fuse(jnp.concatenate(levels, axis=-1), group))

    def _survey(self, x: Array, group: int | None) -> Array:
        """The coarsest map with what larger and larger parts of it hold."""
        size = x.shape[1:3]
        seen = [
            bilinear(block(adaptive_mean(x, (scale, scale)), group), size)
            for scale, block in zip(self.config.scales, self.pooled, strict=True)
        ]
        return self.top(jnp.concatenate([x, *seen], axis=-1), group)


class PlainHead(Module):
    """Logits of one level by one convolution: [B, h, w, K]."""

    config: HeadConfig
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array, group: int | None = None) -> Array:
        c = self.config
        x = ConvBlock(c.channels, 3, c.epsilon, self.dtype, name="block")(x, group)
        return Classify(c, self.dtype, name="classify")(x)
