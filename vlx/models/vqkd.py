"""VQ-KD: a visual tokenizer whose codes tell what a teacher sees in each patch.

Paper: "BEiT v2: Masked Image Modeling with Vector-Quantized Visual Tokenizers", arXiv 2208.06366.
The encoder is a Vision Transformer, its patches become the nearest codes of unit length, and a
small decoder predicts the teacher's vectors from them. Sizes follow the official release.

Letters: B batch, P patches, D width, V codes, E their width, F width of the teacher's vectors.
"""

from dataclasses import dataclass, replace

import flax.linen as nn
import jax
import jax.numpy as jnp

from vlx.layers import initializers as init
from vlx.layers.attention import unit
from vlx.layers.module import Dense, Module
from vlx.layers.multiway import MultiwayConfig
from vlx.layers.quantizer import nearest
from vlx.layers.stack import Compute
from vlx.models.beit import Beit, BeitConfig, scaled_by_depth

Array = jax.Array

TOWERS = ("encoder", "decoder")


@dataclass(frozen=True)
class VqkdConfig:
    encoder: MultiwayConfig
    decoder: MultiwayConfig
    image_size: tuple[int, int] = (224, 224)  # height, width
    patch: int = 16
    codes: int = 8192
    code_width: int = 32
    features: int = 512  # of the teacher's vectors; 0: codes alone, without a decoder
    pixels: str = "inception"  # their statistics
    compute: Compute = Compute()

    def __post_init__(self):
        _ = self.encoder_tower, self.decoder_tower  # which refuse what they cannot be

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of codes."""
        return self.encoder_tower.grid

    @property
    def encoder_tower(self) -> BeitConfig:
        return BeitConfig(
            self.encoder,
            self.image_size,
            self.patch,
            positions=("absolute",),
            codes=0,
            pixels=self.pixels,
            compute=self.compute,
        )

    @property
    def decoder_tower(self) -> BeitConfig:
        """A Transformer over the grid of codes, each a patch."""
        grid, width = self.grid, self.code_width
        return replace(
            self.encoder_tower, encoder=self.decoder, image_size=grid, patch=1, channels=width
        )


class Head(Module):
    """Two linear layers with a tanh between them, in float32: [B, P, D] -> [B, P, outputs]."""

    outputs: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = init.normal(0.02)
        x = Dense(x.shape[-1], kernel_init=kernel, name="hidden")(x.astype(jnp.float32))
        return Dense(self.outputs, kernel_init=kernel, name="output")(jnp.tanh(x))


class Vqkd(Module):
    """Capabilities: tokens, predict_features. Images are normalised floats."""

    config: VqkdConfig

    def setup(self):
        c = self.config
        self.encoder = Beit(c.encoder_tower)
        self.code_head = Head(c.code_width)
        self.codebook = self.param("codebook", _on_the_sphere, (c.codes, c.code_width))
        if c.features:
            self.decoder = Beit(c.decoder_tower)
            self.feature_head = Head(c.features)

    def __call__(self, image: Array) -> Array:
        """What the codes tell of the teacher's vectors [B, P, F], or without decoder the codes."""
        return self.predict_features(image) if self.config.features else self.tokens(image)

    def code_vectors(self, image: Array) -> Array:
        """What codes are found by, of unit length: [B, P, E], float32.

        Raises ValueError for images of another size than the model's.
        """
        given, own = image.shape[1:3], self.config.image_size
        if given != own:
            raise ValueError(
                f"its images have {own[0]} x {own[1]} pixels, and these {given[0]} x {given[1]}."
            )
        return unit(self.code_head(self.encoder.patch_features(image)))

    def tokens(self, image: Array) -> Array:
        """The nearest code of each patch, in rows from the top left: int32 [B, P]."""
        return nearest(self.code_vectors(image), self.codebook)

    def decode(self, vectors: Array) -> Array:
        """Codes [B, P, E] -> what the teacher may see there: [B, P, F], float32."""
        c = self.config
        grid = vectors.reshape(len(vectors), *c.grid, c.code_width)
        return self.feature_head(self.decoder.patch_features(grid))

    def predict_features(self, image: Array) -> Array:
        """The teacher's vectors, as the codes alone tell them: [B, P, F], float32."""
        return self.decode(jnp.take(self.codebook, self.tokens(image), axis=0))


def _on_the_sphere(key: Array, shape: tuple[int, int]) -> Array:
    return unit(jax.random.normal(key, shape))


def fresh_params(model: Vqkd, rng: Array) -> dict:
    """Initial parameters; what deeper layers add starts smaller, in the encoder and the decoder."""
    c = model.config
    params = model.init(rng, jnp.zeros((1, *c.image_size, 3)))["params"]
    towers = {name: scaled_by_depth(params[name]) for name in TOWERS if name in params}
    return params | towers


def _stack(layers: int, width: int = 768, heads: int = 12, ratio: int = 4) -> MultiwayConfig:
    return MultiwayConfig(width, layers, heads, ratio * width, experts=("image",))


_BASE = VqkdConfig(_stack(12), _stack(3))

CONFIGS = {
    "tiny": VqkdConfig(
        replace(_stack(3, 96, 4, ratio=3), deviation=0.08),
        replace(_stack(1, 96, 4, ratio=3), deviation=0.08),
        (48, 48),
        8,
        codes=64,
        code_width=8,
        features=96,
    ),
    "base": _BASE,  # whose codes all released BEiT v2 learned
    "base_shallow": replace(_BASE, decoder=_stack(1)),
    "base_shallow_dino": replace(_BASE, decoder=_stack(1), features=768),
}
