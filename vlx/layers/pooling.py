"""Attentional pooling: learned queries read a sequence.

Letters: B batch, S tokens read, Q queries, D width.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vlx.layers import initializers as init
from vlx.layers.attention import Attention
from vlx.layers.module import Module
from vlx.layers.norm import Norm

Array = jax.Array


class AttentionalPooler(Module):
    """One cross-attention from `queries` learned vectors, without residual or MLP (CoCa, 3.2)."""

    width: int
    heads: int
    queries: int
    epsilon: float = 1e-5
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, S, any] -> [B, Q, D]."""
        queries = self.param("queries", init.normal(1.0), (self.queries, self.width))
        q = Norm(self.epsilon, self.dtype, name="query_norm")(queries.astype(self.dtype))
        q = jnp.broadcast_to(q, (x.shape[0], *q.shape))  # BQD
        context = Norm(self.epsilon, self.dtype, name="context_norm")(x)
        # The official initial values depend on the layout of the weights: one fused matrix
        # [3D, D] if the widths agree, else one Xavier matrix each.
        fused = x.shape[-1] == self.width
        kernel = init.uniform((6 / (4 * self.width)) ** 0.5) if fused else init.xavier_uniform()
        return Attention(
            self.width,
            self.heads,
            kernel_init=kernel,
            epsilon=self.epsilon,
            dtype=self.dtype,
            name="attention",
        )(q, context)
