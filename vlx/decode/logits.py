"""What is done to the logits of the next token before one is chosen.

Letters: B texts, L slots, V vocabulary. Tokens that must not be chosen get -inf.
"""

import jax
import jax.numpy as jnp

Array = jax.Array

NEVER = -jnp.inf


def min_length(logits: Array, length: Array, least: int, end: int) -> Array:
    """No end while a text has fewer than `least` tokens: [B, V], int32 scalar."""
    return jnp.where(length < least, logits.at[:, end].set(NEVER), logits)


def repetition(logits: Array, text: Array, length: Array, penalty: float) -> Array:
    """Makes what stands among the first `length` of text [B, L] less likely, once: [B, V].

    Negative logits are multiplied by the penalty, others divided (CTRL, arXiv 1909.05858).
    """
    known = jnp.take_along_axis(logits, text, axis=1)
    less = jnp.where(known < 0, known * penalty, known / penalty)
    return _put(logits, text, jnp.arange(text.shape[1]) < length, less)


def no_repeat_ngram(logits: Array, text: Array, length: Array, n: int) -> Array:
    """No token that would end n tokens which stand in text [B, L], before `length`: [B, V]."""
    slots = text.shape[1]
    start = jnp.arange(slots)
    same = jnp.broadcast_to(start + n <= length, text.shape)
    for i in range(n - 1):
        last = jax.lax.dynamic_slice_in_dim(text, length - n + 1 + i, 1, axis=1)
        same &= jnp.roll(text, -i, axis=1) == last
    return _put(logits, jnp.roll(text, 1 - n, axis=1), same & (length >= n), NEVER)


def top_k(logits: Array, k: int) -> Array:
    """The k largest, and what equals the k-th."""
    least = jax.lax.top_k(logits, min(k, logits.shape[-1]))[0][:, -1:]
    return jnp.where(logits < least, NEVER, logits)


def top_p(logits: Array, p: float) -> Array:
    """The fewest likeliest tokens that together have at least probability p, one at least."""
    order = jnp.argsort(logits, axis=-1)
    share = jnp.cumsum(jax.nn.softmax(jnp.take_along_axis(logits, order, axis=-1)), axis=-1)
    unlikely = (share <= 1 - p).at[:, -1].set(False)
    place = jnp.argsort(order, axis=-1)
    return jnp.where(jnp.take_along_axis(unlikely, place, axis=-1), NEVER, logits)


def _put(logits: Array, tokens: Array, where: Array, value: Array | float) -> Array:
    """Sets the logits of tokens [B, L] where `where` [B or 1, L] is true."""
    tokens = jnp.where(where, tokens, logits.shape[-1])  # out of range: dropped
    rows = jnp.arange(len(logits))[:, None]
    return logits.at[rows, tokens].set(value, mode="drop")
