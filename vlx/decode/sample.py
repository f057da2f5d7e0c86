"""Writing texts token by token: the likeliest one, or a draw.

The rules are those of open_clip's `generate`. Letters: B texts, L slots, V vocabulary.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vlx.decode import logits as rules
from vlx.decode.options import DecodeOptions, Ids

Array = jax.Array


class Written(NamedTuple):
    """Texts, and how likely the model finds them."""

    text: Array  # int32 [B, L], padded
    score: Array  # [B], log-probability of what was written; of beam search, its own score


def probabilities(
    logits: Array, text: Array, length: Array, options: DecodeOptions, ids: Ids
) -> Array:
    """What the next token is drawn from: [B, V], given the first `length` of text [B, L]."""
    z = restricted(logits, text, length, options, ids)
    if options.method == "greedy":
        return jax.nn.one_hot(jnp.argmax(z, axis=-1), z.shape[-1])
    if options.top_k:
        z = rules.top_k(z, options.top_k)
    if options.top_p < 1:
        z = rules.top_p(z, options.top_p)
    return jax.nn.softmax(z / options.temperature)


def restricted(logits: Array, text: Array, length: Array, options: DecodeOptions, ids: Ids):
    """The logits after the rules that hold for every method: [B, V]."""
    logits = rules.min_length(logits, length, options.min_length, ids.end)
    if options.repetition_penalty != 1:
        logits = rules.repetition(logits, text, length, options.repetition_penalty)
    if options.no_repeat_ngram:
        logits = rules.no_repeat_ngram(logits, text, length, options.no_repeat_ngram)
    return logits


def sample(
    reader, image: Array, text: Array, start: int, draws: Array, options: DecodeOptions, ids: Ids
) -> Written:
    """Continues text [B, L] after its first `start` tokens.

    draws: uniform [L, B]; draw i chooses the token written i steps after the start. A text has
    ended after an end or pad token, and at the last slot, where an unfinished one gets its end.
    """
    slots = text.shape[1]
    window = options.window or slots
    known = jnp.arange(slots) < start
    text = jnp.where(known, text, ids.pad)

    def unfinished(carry):
        text, length, *_ = carry
        return (length < slots) & ~jnp.all(_has_ended(text, length, ids))

    def write(carry):
        text, length, score, logits, state = carry
        seen, seen_length = _window(text, length, window)
        share = probabilities(logits, seen, seen_length, options, ids)
        token = _draw(share, draws[length - start])
        token = jnp.where(seen_length + 1 == slots, ids.end, token)
        ended = _has_ended(text, length, ids)
        gain = jnp.take_along_axis(jax.nn.log_softmax(logits), token[:, None], axis=-1)[:, 0]
        token = jnp.where(ended, ids.pad, token).astype(text.dtype)
        text = jax.lax.dynamic_update_slice_in_dim(text, token[:, None], length, axis=1)
        logits, state = reader.next(state, text, length + 1)
        return text, length + 1, score + jnp.where(ended, 0, gain), logits, state

    logits, state = reader.start(image, text, start, 1)
    carry = text, jnp.asarray(start), jnp.zeros(len(text)), logits, state
    text, _, score, *_ = jax.lax.while_loop(unfinished, write, carry)
    return Written(text, score)


def _has_ended(text: Array, length: Array, ids: Ids) -> Array:
    last = jax.lax.dynamic_index_in_dim(text, length - 1, axis=1, keepdims=False)
    return (last == ids.end) | (last == ids.pad)


def _window(text: Array, length: Array, window: int) -> tuple[Array, Array]:
    """The last `window` tokens, in the first slots of [B, window], and how many they are."""
    first = jnp.maximum(length - window, 0)
    return jax.lax.dynamic_slice_in_dim(text, first, window, axis=1), jnp.minimum(length, window)


def _draw(share: Array, uniform: Array) -> Array:
    """The first token at which the cumulative probability [B, V] exceeds uniform [B]."""
    cumulative = jnp.cumsum(share, axis=-1)
    # Rounding can leave the last value below 1: stay among what is possible.
    highest = jnp.max(cumulative, axis=-1, keepdims=True)
    return jnp.argmax(cumulative > jnp.minimum(uniform[:, None], highest * (1 - 1e-6)), axis=-1)
