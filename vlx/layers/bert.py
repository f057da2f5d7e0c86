"""The bidirectional post-norm encoder of BERT and RoBERTa.

Letters: B batch, T text length, D width, F hidden, H heads.
"""

from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from vlx.layers import initializers as init
from vlx.layers import stack
from vlx.layers.attention import Attention
from vlx.layers.dropout import Dropout
from vlx.layers.embeddings import Tokens
from vlx.layers.mlp import Mlp
from vlx.layers.module import Dense, Module
from vlx.layers.norm import Norm
from vlx.layers.stack import Compute

Array = jax.Array


@dataclass(frozen=True)
class BertConfig:
    """Sizes; the defaults are RoBERTa-base (arXiv 1907.11692)."""

    vocabulary: int = 50265
    width: int = 768
    layers: int = 12
    heads: int = 12
    hidden: int = 3072
    positions: int = 514  # rows of the position table; the first pad + 1 are not for tokens
    types: int = 1
    pad: int = 1
    epsilon: float = 1e-5
    dropout: float = 0.1  # of hidden states and attention, where there is an rng named `dropout`

    def __post_init__(self):
        if self.width % self.heads:
            raise ValueError(f"width={self.width} does not divide into heads={self.heads}.")


class BertLayer(Module):
    """norm(x + attention(x)), then norm(x + mlp(x))."""

    config: BertConfig
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array, mask: Array) -> Array:
        """x: [B, T, D]; mask: bool [B, 1, 1, T], true for tokens that may be read."""
        c, kernel = self.config, init.normal(0.02)
        y = Attention(
            c.width,
            c.heads,
            kernel_init=kernel,
            out_init=kernel,
            dropout=c.dropout,
            dtype=self.dtype,
            name="attention",
        )(x, mask=mask)
        y = Dropout(c.dropout)(checkpoint_name(y, "attention"))
        x = Norm(c.epsilon, self.dtype, name="attention_norm")(x + y)
        y = Mlp(
            c.hidden,
            up_init=kernel,
            down_init=kernel,
            bias_init=lambda fan_in: init.zeros,
            dtype=self.dtype,
            name="mlp",
        )(x)
        return Norm(c.epsilon, self.dtype, name="mlp_norm")(x + Dropout(c.dropout)(y))


class Bert(Module):
    """Hidden states of the last layer: int32 [B, T] -> [B, T, D]. Padding is not read."""

    config: BertConfig
    compute: Compute

    @nn.compact
    def __call__(self, text: Array) -> Array:
        c, dtype = self.config, self.compute.dtype
        table = partial(Tokens, width=c.width, dtype=dtype)
        real = text != c.pad
        # RoBERTa counts positions from pad + 1 and gives padding the row `pad`.
        positions = jnp.where(real, jnp.cumsum(real, axis=1), 0) + c.pad
        x = table(c.vocabulary, padding=c.pad, name="tokens")(text)
        x = x + table(c.positions, padding=c.pad, name="positions")(positions)
        x = x + table(c.types, name="types")(jnp.zeros_like(text))
        x = Dropout(c.dropout)(Norm(c.epsilon, dtype, name="input_norm")(x))
        layer = BertLayer(c, dtype, name="layers")
        return stack.run(layer, c.layers, self.compute, x, real[:, None, None, :])


@dataclass(frozen=True)
class BertTextConfig:
    """A BERT encoder as the text tower of a contrastive model."""

    encoder: BertConfig = BertConfig()
    length: int = 77  # of texts, with start and end
    pooling: str = "mean"  # over tokens that are not padding; or "max", or "first"
    projection: str = "mlp"  # or "linear", without biases both

    def __post_init__(self):
        if self.pooling not in ("mean", "max", "first"):
            raise ValueError(f"pooling={self.pooling!r}: choose mean, max or first.")
        if self.projection not in ("mlp", "linear"):
            raise ValueError(f"projection={self.projection!r}: choose mlp or linear.")

    @property
    def vocabulary(self) -> int:
        return self.encoder.vocabulary

    @property
    def pad(self) -> int:
        return self.encoder.pad


class BertText(Module):
    """Token ids to one vector and a sequence: int32 [B, T] -> [B, E], [B, T, D].

    The tower is bidirectional: a captioner behind it sees the tokens that it must predict, as in
    open_clip's `coca_roberta-ViT-B-32`.
    """

    config: BertTextConfig
    embedding: int  # E
    compute: Compute

    @nn.compact
    def __call__(self, text: Array) -> tuple[Array, Array]:
        c = self.config
        dense = partial(
            Dense, use_bias=False, kernel_init=init.fan_in_uniform(), dtype=self.compute.dtype
        )
        tokens = Bert(c.encoder, self.compute, name="encoder")(text)
        vector = _pool(tokens, text != c.pad, c.pooling)
        if c.projection == "mlp":
            middle = (c.encoder.width + self.embedding) // 2
            vector = nn.gelu(dense(middle, name="hidden")(vector), approximate=False)
        return dense(self.embedding, name="projection")(vector), tokens


def _pool(x: Array, real: Array, how: str) -> Array:
    """[B, T, D] -> [B, D] over the positions where `real` [B, T] holds."""
    if how == "first":
        return x[:, 0]
    real = real[:, :, None]
    if how == "max":
        return jnp.max(jnp.where(real, x, -jnp.inf), axis=1)
    total = jnp.sum(jnp.where(real, x, 0), axis=1, dtype=jnp.float32)
    return (total / jnp.sum(real, axis=1)).astype(x.dtype)
