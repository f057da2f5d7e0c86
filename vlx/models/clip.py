"""CLIP: an image tower and a text tower that meet in one space.

Paper: "Learning Transferable Visual Models From Natural Language Supervision", arXiv 2103.00020.
Sizes and options follow OpenAI's release and open_clip.
"""

from dataclasses import dataclass
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vlx.layers import initializers as init
from vlx.layers.attention import unit
from vlx.layers.bert import BertText, BertTextConfig
from vlx.layers.module import Module
from vlx.layers.stack import Compute
from vlx.layers.text import TextConfig, TextTransformer
from vlx.layers.transformer import TransformerConfig
from vlx.layers.vision import VisionConfig, VisionTransformer

Array = jax.Array

TextTower = TextConfig | BertTextConfig


@dataclass(frozen=True)
class ClipConfig:
    vision: VisionConfig
    text: TextTower
    embedding: int
    logit_scale: float = np.log(1 / 0.07)  # initial, of its logarithm
    logit_bias: float | None = None  # initial; None is a model without one
    scalar_shape: tuple[int, ...] = ()  # (1,) in some official files
    compute: Compute = Compute()

    @property
    def image_size(self) -> tuple[int, int]:
        return self.vision.image_size

    @property
    def text_length(self) -> int:
        return self.text.length

    @property
    def vocabulary(self) -> int:
        """Ids that the text tower takes."""
        return self.text.vocabulary


class Scale(NamedTuple):
    """What turns cosines into logits."""

    scale: Array  # inverse temperature
    bias: Array | None


def text_tower(config: TextTower, embedding: int, compute: Compute) -> nn.Module:
    """The text tower that a config asks for."""
    tower = BertText if isinstance(config, BertTextConfig) else TextTransformer
    return tower(config, embedding, compute)


class Clip(Module):
    """Capabilities: encode_image, encode_text, features, patch_features, patch_tokens."""

    config: ClipConfig

    def setup(self):
        c = self.config
        self.image = VisionTransformer(c.vision, c.embedding, c.compute)
        self.text = text_tower(c.text, c.embedding, c.compute)
        self.logit_scale = self.param("logit_scale", init.constant(c.logit_scale), c.scalar_shape)
        if c.logit_bias is not None:
            self.logit_bias = self.param("logit_bias", init.constant(c.logit_bias), c.scalar_shape)

    def __call__(self, image: Array, text: Array) -> tuple[Array, Array, Scale]:
        """image: normalised floats [B, height, width, 3]; text: int32 [B, T]."""
        return self.encode_image(image), self.encode_text(text), self.scale()

    def encode_image(self, image: Array) -> Array:
        """Unit vectors [B, E], float32."""
        return unit(self.image(image)[0])

    def encode_text(self, text: Array) -> Array:
        """Unit vectors [B, E], float32."""
        return unit(self.text(text)[0])

    def features(self, image: Array) -> Array:
        """The image tower's vector before projection: [B, D]."""
        return self.image.pool(self.image.encoder(self.image.embed(image)))[0]

    def patch_tokens(self, image: Array) -> Array:
        """Patches after the last layer, before norms and pooling: [B, P, D]."""
        x = self.image.encoder(self.image.embed(image))
        return x[:, self.config.vision.class_token :]

    def patch_features(self, image: Array) -> Array:
        """Every patch in the space of images and texts, not of unit length: [B, P, E]."""
        return self.image.patch_features(image)

    def scale(self) -> Scale:
        bias = None if self.config.logit_bias is None else self.logit_bias
        return Scale(jnp.exp(self.logit_scale), bias)


def _preset(size: int, patch: int, width: int, layers: int, embedding: int, text: int):
    vision = TransformerConfig(width, layers, width // 64, 4 * width)
    language = TransformerConfig(text, 12, text // 64, 4 * text, initial="normal")
    return ClipConfig(
        vision=VisionConfig((size, size), patch, vision),
        text=TextConfig(49408, 77, language, pooling="argmax", norm_tokens=True),
        embedding=embedding,
    )


CONFIGS = {
    "ViT-B-32": _preset(224, 32, 768, 12, 512, 512),
    "ViT-B-16": _preset(224, 16, 768, 12, 512, 512),
    "ViT-L-14": _preset(224, 14, 1024, 24, 768, 768),
    "ViT-L-14-336": _preset(336, 14, 1024, 24, 768, 768),
}
