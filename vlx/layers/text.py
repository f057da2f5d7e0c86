"""The text tower of contrastive models: causal or bidirectional, with or without a class token.

Letters: B batch, T text length, L = T (+ 1 with a class token), D width, E embedding.
"""

from dataclasses import dataclass

import chex
import jax
import jax.numpy as jnp

from vlx.errors import UserError
from vlx.layers import initializers as init
from vlx.layers.cache import CACHE, Slots
from vlx.layers.embeddings import Tokens
from vlx.layers.module import Dense, Module
from vlx.layers.norm import Norm
from vlx.layers.stack import Compute
from vlx.layers.transformer import Transformer, TransformerConfig

Array = jax.Array

MASKS = ("none", "pad", "legacy", "correct")
POOLINGS = ("class", "first", "last", "argmax", "eos")


@dataclass(frozen=True)
class TextConfig:
    """Sizes and options of the text tower."""

    vocabulary: int
    length: int  # T, without the class token
    encoder: TransformerConfig
    causal: bool = True
    mask: str = "none"  # what hides padding; "legacy" and "correct" are for a class token
    pooling: str = "class"
    pad: int = 0
    end: int = 2  # the id that `eos` pooling looks for
    projection: bool = True
    projection_bias: bool = False
    norm_tokens: bool = False  # the token features are normalised too

    def __post_init__(self):
        for name, allowed in (("mask", MASKS), ("pooling", POOLINGS)):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name}={getattr(self, name)!r}: choose from {', '.join(allowed)}."
                )
        if self.class_token != (self.mask in ("legacy", "correct")):
            raise ValueError(f"mask={self.mask!r} does not fit pooling={self.pooling!r}.")

    @property
    def class_token(self) -> bool:
        return self.pooling == "class"


class TextTransformer(Module):
    """Token ids to one vector and a sequence: int32 [B, T] -> [B, E], [B, T, D].

    A class token is appended after the last position, so that a causal mask lets it see all.
    """

    config: TextConfig
    embedding: int  # E
    compute: Compute

    def setup(self):
        c, dtype = self.config, self.compute.dtype
        width = c.encoder.width
        self.tokens = Tokens(c.vocabulary, width, dtype=dtype)
        shape = (c.length + c.class_token, width)
        self.positions = self.param("positions", init.normal(0.01), shape)
        if c.class_token:
            self.class_token = self.param("class_token", init.normal(0.01), (width,))
        self.encoder = Transformer(c.encoder, self.compute, causal=c.causal)
        self.norm = Norm(c.encoder.epsilon, dtype)
        if c.projection:
            self.projection = Dense(
                self.embedding,
                use_bias=c.projection_bias,
                kernel_init=init.normal(width**-0.5),
                dtype=dtype,
            )

    def __call__(self, text: Array) -> tuple[Array, Array]:
        c = self.config
        chex.assert_shape(text, (None, None))
        if text.shape[1] > c.length:
            raise ValueError(f"text of {text.shape[1]} tokens, the model takes {c.length}.")
        x = self.tokens(text)  # BTD
        if c.class_token:
            last = jnp.broadcast_to(self.class_token.astype(x.dtype), (x.shape[0], 1, x.shape[-1]))
            x = jnp.concatenate([x, last], axis=1)
        x = x + self.positions[: x.shape[1]].astype(x.dtype)
        x = self.encoder(x, self._mask(text))
        vector, tokens = self._pool(x, text)
        return self.projection(vector) if c.projection else vector, tokens

    def init_cache(self, texts: int, length: int) -> None:
        """Makes room for texts of at most `length` tokens."""
        c = self.config
        if length > c.length:
            raise UserError(
                f"Texts of {length} tokens cannot be written, the model takes {c.length}; set "
                f"max_length={c.length} or less."
            )
        self.put_variable(CACHE, "text", jnp.full((texts, length), c.pad, jnp.int32))
        self.put_variable(CACHE, "filled", jnp.zeros((), jnp.int32))

    def continued(self, text: Array, keep: int) -> tuple[Array, Slots]:
        """Features of the next tokens, as `__call__` has them in the whole text, and their slots.

        text: int32 [B, n] -> [B, n, D]; the next call begins `keep` tokens later.
        """
        c = self.config
        known, first = self.get_variable(CACHE, "text"), self.get_variable(CACHE, "filled")
        slots = Slots(first, known.shape[1])
        known = slots.write(known, text)
        self.put_variable(CACHE, "text", known)
        self.put_variable(CACHE, "filled", first + keep)
        x = self.tokens(text)
        rows = jax.lax.dynamic_slice_in_dim(self.positions, first, text.shape[1])
        mask = self._mask(known)
        mask = None if mask is None else mask[..., : slots.length]  # without the class token
        x = self.encoder(x + rows.astype(x.dtype), mask, slots)
        return self.norm(x) if c.norm_tokens else x, slots

    def _mask(self, text: Array) -> Array | None:
        """Which keys may be read, by all queries alike: bool [B, 1, 1, L]."""
        c = self.config
        real, always = text != c.pad, ((0, 0), (1, 0))
        if c.mask == "none":
            return None
        if c.mask == "legacy":  # shifted by one, as in all released weights: the class token sees
            keys = jnp.pad(real, always, constant_values=True)  # the first pad, seldom itself
        elif c.mask == "correct":
            keys = jnp.pad(real, ((0, 0), (0, 1)), constant_values=True)
        else:
            keys = real
        return keys[:, None, None, :]

    def _pool(self, x: Array, text: Array) -> tuple[Array, Array]:
        c = self.config
        if c.class_token and not c.norm_tokens:
            return self.norm(x[:, -1]), x[:, :-1]
        normed = self.norm(x)
        if c.class_token:
            return normed[:, -1], normed[:, :-1]
        return _pick(normed, text, c), normed if c.norm_tokens else x


def _pick(x: Array, text: Array, c: TextConfig) -> Array:
    """The position that stands for the text: [B, T, D] -> [B, D]."""
    if c.pooling == "first":
        return x[:, 0]
    if c.pooling == "last":
        return x[:, -1]
    index = jnp.argmax(text if c.pooling == "argmax" else text == c.end, axis=1)
    return jnp.take_along_axis(x, index[:, None, None], axis=1)[:, 0]
