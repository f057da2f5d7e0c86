"""What training leaves out by chance: numbers, or whole branches of a layer.

Both act wherever there is an rng named `dropout`, and are the identity elsewhere.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vlx.layers.module import Module

Array = jax.Array


class Dropout(Module):
    """Each number with probability `rate`."""

    rate: float

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return nn.Dropout(self.rate, deterministic=not self.has_rng("dropout"))(x)


class DropPath(Module):
    """A residual branch of each example with probability `rate` (arXiv 1603.09382)."""

    @nn.compact
    def __call__(self, x: Array, rate: Array | None) -> Array:
        """x: [B, ...]; rate: a scalar, or None for a branch that always stays."""
        if rate is None or not self.has_rng("dropout"):
            return x
        kept = jax.random.bernoulli(self.make_rng("dropout"), 1 - rate, (len(x),))
        factor = jnp.where(kept, 1 / (1 - rate), 0).astype(x.dtype)
        return x * factor.reshape(-1, *[1] * (x.ndim - 1))


def depth_rates(rate: float, layers: int) -> Array | None:
    """Rates that grow evenly from 0 to `rate` over the depth: [layers]; None if all are 0."""
    return jnp.linspace(0, rate, layers) if rate else None
