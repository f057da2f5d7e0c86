"""The Vision Transformer with every way of pooling that contrastive models use.

Letters: B batch, P patches, L = P + class token, D width, E embedding, Q queries.
"""

from dataclasses import dataclass

import chex
import jax
import jax.numpy as jnp

from vlx.layers import initializers as init
from vlx.layers.embeddings import Patches, SquarePatches, keep_patches, sine_positions
from vlx.layers.module import Dense, Module
from vlx.layers.norm import Norm
from vlx.layers.pooling import AttentionalPooler
from vlx.layers.stack import Compute
from vlx.layers.transformer import Transformer, TransformerConfig

Array = jax.Array

POOLINGS = ("tok", "avg", "none", "shared_queries", "parallel", "cascade")


@dataclass(frozen=True)
class PoolerConfig:
    """Attentional poolers, for `shared_queries`, `parallel` and `cascade`."""

    queries: int = 256  # of the caption; `shared_queries` reads its vector from them too
    contrastive_queries: int = 1
    heads: int = 8
    norm_after: bool = True  # normalise what the poolers return instead of what they read


@dataclass(frozen=True)
class VisionConfig(SquarePatches):
    """Sizes and options of the image tower (names of the options as in open_clip)."""

    image_size: tuple[int, int]  # height, width
    patch: int
    encoder: TransformerConfig
    class_token: bool = True
    positions: str = "learned"  # or "sine": fixed, two-dimensional
    input_norm: bool = True
    patch_dropout: float = 0.0  # share of patches that training leaves out
    pooling: str = "tok"
    query_pooling: str = "tok"  # of `shared_queries`: query 0, or "avg" of the others, or "none"
    norm_after_pooling: bool = False  # `tok` and `avg` without pooler: tokens stay as they are
    pooler: PoolerConfig = PoolerConfig()
    projection: bool = True

    def __post_init__(self):
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling={self.pooling!r}: choose from {', '.join(POOLINGS)}.")
        if self.pooling == "tok" and not self.class_token:
            raise ValueError("pooling='tok' needs class_token=True.")
        if self.positions not in ("learned", "sine"):
            raise ValueError(f"positions={self.positions!r}: choose learned or sine.")
        if self.positions == "sine" and self.grid[0] != self.grid[1]:
            raise ValueError(f"sine positions need a square grid, not {self.grid}.")

    @property
    def attentional(self) -> bool:
        return self.pooling in ("shared_queries", "parallel", "cascade")


class VisionTransformer(Module):
    """Pixels to one vector and a sequence: [B, height, width, 3] -> [B, E], [B, any, D or E].

    The vector is not of unit length; `compute.dtype` is that of both.
    """

    config: VisionConfig
    embedding: int  # E
    compute: Compute

    def setup(self):
        c, dtype = self.config, self.compute.dtype
        width = c.encoder.width
        deviation = init.normal(width**-0.5)
        length = c.grid[0] * c.grid[1] + c.class_token
        self.patches = Patches(width, c.patch, dtype=dtype)
        if c.class_token:
            self.class_token = self.param("class_token", deviation, (width,))
        if c.positions == "learned":
            self.positions = self.param("positions", deviation, (length, width))
        if c.input_norm:
            self.input_norm = Norm(c.encoder.epsilon, dtype)
        self.encoder = Transformer(c.encoder, self.compute)
        self.norm = Norm(c.encoder.epsilon, dtype)
        if c.attentional:
            self.pooler = self._pooler(c.pooler.queries)
            if c.pooling != "shared_queries":
                self.contrastive_pooler = self._pooler(c.pooler.contrastive_queries)
                if c.pooler.norm_after:
                    self.contrastive_norm = Norm(c.encoder.epsilon, dtype)
        if c.projection:
            self.projection = Dense(
                self.embedding, use_bias=False, kernel_init=deviation, dtype=dtype
            )

    def _pooler(self, queries: int) -> AttentionalPooler:
        c = self.config
        return AttentionalPooler(
            self.embedding, c.pooler.heads, queries, c.encoder.epsilon, self.compute.dtype
        )

    def __call__(self, image: Array, patch_noise: Array | None = None) -> tuple[Array, Array]:
        """image: normalised floats; patch_noise: [B, P], see `embed`."""
        vector, tokens = self.pool(self.encoder(self.embed(image, patch_noise)))
        return self.projection(vector) if self.config.projection else vector, tokens

    def embed(self, image: Array, patch_noise: Array | None = None) -> Array:
        """What enters the first layer: [B, L, D].

        With `patch_dropout` the patches of largest noise stay; the noise is drawn if there is an
        rng named `patches`, as in training, and nothing is dropped without noise.
        """
        c = self.config
        chex.assert_shape(image, (None, *c.image_size, 3))
        x = self.patches(image.astype(self.compute.dtype))  # BPD
        positions = self._positions().astype(x.dtype)
        x = x + positions[c.class_token :]
        if c.patch_dropout > 0:
            if patch_noise is None and self.has_rng("patches"):
                patch_noise = jax.random.normal(self.make_rng("patches"), x.shape[:2])
            if patch_noise is not None:
                x = keep_patches(x, patch_noise, 1 - c.patch_dropout)
        if c.class_token:
            first = self.class_token.astype(x.dtype) + positions[0]
            x = jnp.concatenate([jnp.broadcast_to(first, (x.shape[0], 1, x.shape[-1])), x], axis=1)
        return self.input_norm(x) if c.input_norm else x

    def _positions(self) -> Array:
        c = self.config
        if c.positions == "learned":
            return self.positions
        return jnp.asarray(sine_positions(*c.grid, c.encoder.width, c.class_token))

    def patch_features(self, image: Array) -> Array:
        """Every patch as the vector would be made of it alone: [B, P, E].

        Raises ValueError for a tower whose poolers look at all patches at once.
        """
        c = self.config
        if c.attentional:
            raise ValueError(f"pooling={c.pooling!r} makes no vectors of single patches.")
        x = self.norm(self.encoder(self.embed(image))[:, c.class_token :])
        return self.projection(x) if c.projection else x

    def pool(self, x: Array) -> tuple[Array, Array]:
        """The vector before its projection and the sequence, from the last layer's output."""
        c = self.config
        if not c.attentional:
            return self._pool_tokens(x)
        if not c.pooler.norm_after:
            x = self.norm(x)
        tokens = self.pooler(x)
        if c.pooler.norm_after:
            tokens = self.norm(tokens)
        if c.pooling == "shared_queries":
            return _reduce(tokens, c.query_pooling, True)
        vector = self.contrastive_pooler(tokens if c.pooling == "cascade" else x)
        if c.pooler.norm_after:
            vector = self.contrastive_norm(vector)
        return jnp.mean(vector, axis=1), tokens

    def _pool_tokens(self, x: Array) -> tuple[Array, Array]:
        c = self.config
        if not c.norm_after_pooling:
            x = self.norm(x)
        vector, tokens = _reduce(x, c.pooling, c.class_token)
        return self.norm(vector) if c.norm_after_pooling else vector, tokens


def _reduce(x: Array, how: str, first: bool) -> tuple[Array, Array]:
    """The vector and the remaining sequence; `first` says that x[:, 0] is no plain token."""
    rest = x[:, 1:] if first else x
    if how == "tok":
        return x[:, 0], rest
    if how == "avg":
        return jnp.mean(rest, axis=1), rest
    return x, x
