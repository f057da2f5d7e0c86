"""Sequences of several kinds of tokens: where each kind stands, and modules of their own for each.

Tokens of one kind stand together, so that a sequence is a few parts of known lengths and what is a
kind's own multiplies its own slice alone.

Letters: B batch, L tokens, D width.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from vlx.layers.module import Module

Array = jax.Array
Parts = tuple[tuple[str, int], ...]  # (kind, tokens) in the order of the sequence


def split(x: Array, parts: Parts) -> list[tuple[str, Array]]:
    """The slices of x [B, L, ...] and the kind of each."""
    if sum(tokens for _, tokens in parts) != x.shape[1]:
        raise ValueError(f"parts {parts} do not add up to {x.shape[1]} tokens.")
    slices, start = [], 0
    for kind, tokens in parts:
        slices.append((kind, x[:, start : start + tokens]))
        start += tokens
    return slices


def join(slices: list[Array]) -> Array:
    """One sequence of the slices, [B, L, ...]."""
    return jnp.concatenate(slices, axis=1) if len(slices) > 1 else slices[0]


class Apart(Module):
    """A module that is made once for each kind of token, under the kind's name."""

    make: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Array, parts: Parts) -> Array:
        """[B, L, ...] -> [B, L, ...]."""
        return join([self.make(name=kind)(part) for kind, part in split(x, parts)])


def through(make: Callable[..., nn.Module], name: str, x: Array, parts: Parts | None) -> Array:
    """x through one module, or each of its parts through the module of its kind."""
    return make(name=name)(x) if parts is None else Apart(make, name=name)(x, parts)
