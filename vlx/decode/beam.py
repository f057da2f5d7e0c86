"""Beam search over log-probabilities.

The rules are those of open_clip from version 4 on. Letters: B images, K beams, L slots, V
vocabulary. Rows of the model's batch are the beams of the first image, then of the second, ...
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vlx.decode.options import DecodeOptions, Ids
from vlx.decode.sample import Written, restricted

Array = jax.Array

LOW = -1e9  # below every score, yet a sum of them is finite


class Beams(NamedTuple):
    """K texts of each image, best first."""

    text: Array  # [B, K, L]
    score: Array  # [B, K]


def beam_search(
    reader, image: Array, text: Array, start: int, options: DecodeOptions, ids: Ids
) -> Written:
    """The best continuation of text [B, L] after its first `start` tokens.

    A finished text is worth its log-probability over the number of written tokens to the power of
    the length penalty. An image is done when no running beam can beat its K finished ones.
    """
    slots, k = text.shape[1], options.beams
    text = jnp.where(jnp.arange(slots) < start, text, ids.pad)
    rows = jnp.repeat(text, k, axis=0)
    logits, state = reader.start(image, rows, start, k)
    beams = rows.reshape(len(text), k, slots)
    running = Beams(beams, jnp.full(beams.shape[:2], LOW).at[:, 0].set(0.0))
    finished = Beams(beams, jnp.full(beams.shape[:2], LOW))
    closed = jnp.zeros(len(text), bool)

    def going(carry):
        length, _, _, closed, stuck, *_ = carry
        return (length < slots) & ~jnp.all(closed) & ~stuck

    def grow(carry):
        length, running, finished, closed, _, logits, state = carry
        candidates, parent = extend(running, logits, length, options, ids, 2 * k)
        stops = (at(candidates.text, length) == ids.end) | (length + 1 == slots)
        written = (length + 1 - start).astype(jnp.float32)
        enters = stops & (jnp.arange(2 * k) < k) & ~closed[:, None]
        value = jnp.where(enters, candidates.score / written**options.length_penalty, LOW)
        finished = best_of(both(finished, candidates._replace(score=value)), k)[0]
        goes_on = candidates._replace(score=jnp.where(stops, LOW, candidates.score))
        running, chosen = best_of(goes_on, k)
        best = running.score[:, 0] / written**options.length_penalty
        closed |= best <= finished.score[:, -1]
        parent = jnp.take_along_axis(parent, chosen, axis=1) + k * jnp.arange(len(text))[:, None]
        state = reader.take(state, parent.reshape(-1))
        logits, state = reader.next(state, running.text.reshape(-1, slots), length + 1)
        return length + 1, running, finished, closed, jnp.all(stops), logits, state

    carry = (jnp.asarray(start), running, finished, closed, jnp.asarray(False), logits, state)
    _, _, finished, *_ = jax.lax.while_loop(going, grow, carry)
    return Written(finished.text[:, 0], finished.score[:, 0])


def extend(
    running: Beams, logits: Array, length: Array, options: DecodeOptions, ids: Ids, count: int
) -> tuple[Beams, Array]:
    """The `count` best texts of one token more, [B, count, ..], and the beams they come from."""
    images, k, slots = running.text.shape
    share = jax.nn.log_softmax(logits)
    share = restricted(share, running.text.reshape(-1, slots), length, options, ids)
    score = share.reshape(images, k, -1) + running.score[..., None]
    vocabulary = score.shape[-1]
    score, place = jax.lax.top_k(score.reshape(images, -1), count)
    parent, token = place // vocabulary, place % vocabulary
    text = jnp.take_along_axis(running.text, parent[..., None], axis=1)
    return Beams(put(text, token, length), score), parent


def best_of(beams: Beams, k: int) -> tuple[Beams, Array]:
    """The K best, best first, and which they were; the earlier of equals."""
    chosen = jax.lax.top_k(beams.score, k)[1]
    return pick(beams, chosen), chosen


def pick(beams: Beams, chosen: Array) -> Beams:
    """Texts by their places [B, n]."""
    text = jnp.take_along_axis(beams.text, chosen[..., None], axis=1)
    return Beams(text, jnp.take_along_axis(beams.score, chosen, axis=1))


def both(one: Beams, other: Beams) -> Beams:
    """The texts of one, then those of the other."""
    return Beams(*(jnp.concatenate(x, axis=1) for x in zip(one, other, strict=True)))


def at(text: Array, slot: Array) -> Array:
    """The token in a slot of text [.., L]."""
    return jax.lax.dynamic_index_in_dim(text, slot, axis=-1, keepdims=False)


def put(text: Array, token: Array, slot: Array) -> Array:
    """text [.., L] with token [..] in a slot."""
    token = token.astype(text.dtype)[..., None]
    return jax.lax.dynamic_update_slice_in_dim(text, token, slot, axis=-1)
