"""A discrete autoencoder: images as a few codes, and back.

Paper: "Zero-Shot Text-to-Image Generation", arXiv 2102.12092, whose encoder gave BEiT its visual
tokens. The encoder is the published one; the decoder mirrors it.

Letters: B batch, h, w rows and columns of codes (an eighth of the image's), V codes, n channels.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

from vlx.layers.module import Conv, Module

Array = jax.Array

GROUPS = 4  # of blocks; the width doubles and the image halves from each to the next
STRIDE = 2 ** (GROUPS - 1)  # pixels a code


@dataclass(frozen=True)
class DvaeConfig:
    image_size: tuple[int, int] = (112, 112)  # height, width
    width: int = 256  # channels of the first group
    blocks: int = 2  # of a group
    codes: int = 8192
    decoder: bool = True  # the published tokenizer has none

    def __post_init__(self):
        if any(side % STRIDE for side in self.image_size):
            raise ValueError(f"image_size={self.image_size} must be multiples of {STRIDE}.")

    @property
    def branch_scale(self) -> float:
        """What residual branches are multiplied by."""
        return 1 / (GROUPS * self.blocks) ** 2

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of codes."""
        return self.image_size[0] // STRIDE, self.image_size[1] // STRIDE


class Block(Module):
    """x + scale * four convolutions of x, the first three of a quarter of the width."""

    width: int
    scale: float
    kernels: tuple[int, int, int, int]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        y = x
        for number, size in enumerate(self.kernels, start=1):
            width = self.width if number == 4 else self.width // 4
            y = Conv(width, (size, size), name=f"conv_{number}")(nn.relu(y))
        if x.shape[-1] != self.width:
            x = Conv(self.width, (1, 1), name="identity")(x)
        return x + self.scale * y


class Coder(Module):
    """A stem, groups of blocks with a change of size between them, and a last convolution."""

    config: DvaeConfig
    stem: tuple[int, int]  # channels and size of the first convolution
    widths: tuple[int, ...]
    kernels: tuple[int, int, int, int]
    outputs: int
    up: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        c, (channels, size) = self.config, self.stem
        x = Conv(channels, (size, size), name="input")(x)
        for group, width in enumerate(self.widths, start=1):
            for number in range(1, c.blocks + 1):
                name = f"group_{group}_block_{number}"
                x = Block(width, c.branch_scale, self.kernels, name=name)(x)
            if group < GROUPS:
                x = _larger(x) if self.up else nn.max_pool(x, (2, 2), (2, 2))
        return Conv(self.outputs, (1, 1), name="output")(nn.relu(x))


def _larger(x: Array) -> Array:
    """Every pixel twice in each direction."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


class Dvae(Module):
    """Capabilities: tokens, reconstruct. Images are floats in 0.1..0.9, [B, height, width, 3]."""

    config: DvaeConfig

    def setup(self):
        c = self.config
        widths = tuple(c.width * 2**k for k in range(GROUPS))
        self.encoder = Coder(c, (c.width, 7), widths, (3, 3, 3, 1), c.codes, up=False)
        if c.decoder:
            self.decoder = Coder(c, (c.width // 2, 1), widths[::-1], (1, 3, 3, 3), 3, up=True)

    def __call__(self, image: Array) -> tuple[Array, Array | None]:
        """Logits of codes, and the image that the best ones make where there is a decoder."""
        logits = self.logits(image)
        best = jax.nn.one_hot(jnp.argmax(logits, axis=-1), self.config.codes)
        return logits, self.decode(best) if self.config.decoder else None

    def logits(self, image: Array) -> Array:
        """[B, height, width, 3] -> [B, h, w, V]."""
        return self.encoder(image)

    def decode(self, codes: Array) -> Array:
        """Weights of codes [B, h, w, V] -> [B, height, width, 3]."""
        return self.decoder(codes)

    def tokens(self, image: Array) -> Array:
        """The best code of each place, in rows from the top left: int32 [B, h w]."""
        best = jnp.argmax(self.logits(image), axis=-1)
        return best.reshape(len(image), -1).astype(jnp.int32)

    def reconstruct(self, image: Array) -> Array:
        """The image from its codes alone: [B, height, width, 3]."""
        return self(image)[1]


CONFIGS = {
    "tiny": DvaeConfig((48, 48), width=16, blocks=1, codes=64),
    "dall_e": DvaeConfig(decoder=False),
}
