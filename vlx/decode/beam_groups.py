"""Beam search over raw logits in groups, as open_clip did up to version 3.

Kept to reproduce published captions: the scores are sums of logits, not log-probabilities. Letters:
B images, G groups, K beams of a group, L slots, V vocabulary.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vlx.decode.beam import LOW, put
from vlx.decode.options import DecodeOptions, Ids
from vlx.decode.sample import Written, restricted

Array = jax.Array


class Search(NamedTuple):
    """Running beams and the best finished texts of every group."""

    text: Array  # [B, G, K, L]
    score: Array  # [B, G, K]
    found: Array  # [B, G, K, L], finished texts without their end, best first
    value: Array  # [B, G, K], -inf where none was found
    size: Array  # [B, G, K], their lengths
    done: Array  # [B, G]


def beam_search_by_groups(
    reader, image: Array, text: Array, start: int, options: DecodeOptions, ids: Ids
) -> Written:
    """The best continuation of text [B, L] after its first `start` tokens.

    The groups do not know of each other, so they find the same. The value of a text is its score
    over its length to the power of the length penalty.
    """
    slots, k = text.shape[1], options.beams // options.groups
    text = jnp.where(jnp.arange(slots) < start, text, ids.pad)
    rows = jnp.repeat(text, options.beams, axis=0)
    logits, state = reader.start(image, rows, start, options.beams)
    beams = rows.reshape(len(text), options.groups, k, slots)
    score = jnp.full(beams.shape[:-1], LOW).at[..., 0].set(0.0)
    none = jnp.full(score.shape, -jnp.inf)
    sizes = jnp.zeros(score.shape, jnp.int32)
    search = Search(beams, score, beams, none, sizes, jnp.zeros(score.shape[:2], bool))

    def going(carry):
        length, search, *_ = carry
        return (length < slots) & ~jnp.all(search.done)

    def grow(carry):
        length, search, logits, state = carry
        search, parent = _grow(search, logits, length, options, ids)
        parent = parent + (k * jnp.arange(parent.size // k)).reshape(*parent.shape[:2], 1)
        state = reader.take(state, parent.reshape(-1))
        logits, state = reader.next(state, search.text.reshape(-1, slots), length + 1)
        return length + 1, search, logits, state

    carry = jnp.asarray(start), search, logits, state
    length, search, *_ = jax.lax.while_loop(going, grow, carry)
    return _winner(search, length, options, ids)


def _grow(search: Search, logits: Array, length: Array, options: DecodeOptions, ids: Ids):
    """One token more for every beam, and the beams [B, G, K] that they continue."""
    *lead, k, slots = search.text.shape
    score = restricted(logits, search.text.reshape(-1, slots), length, options, ids)
    score = score.reshape(*lead, k, -1) + search.score[..., None]
    vocabulary = score.shape[-1]
    score, place = jax.lax.top_k(score.reshape(*lead, -1), 2 * k)
    parent, token = place // vocabulary, place % vocabulary
    divisor = (length + 1.0) ** options.length_penalty

    ends = (token == ids.end) & (jnp.arange(2 * k) < k) & ~search.done[..., None]
    entering = jnp.where(ends, score / divisor, -jnp.inf)
    texts = jnp.take_along_axis(search.text, parent[..., None], axis=-2)
    search = _enter(search, texts, entering, jnp.broadcast_to(length, entering.shape))
    full = jnp.all(search.value > -jnp.inf, axis=-1)
    done = search.done | (full & (search.value[..., -1] >= score[..., 0] / divisor))

    order = jnp.argsort(token == ids.end, axis=-1, stable=True)[..., :k]  # what goes on, in order
    token, parent, score = (jnp.take_along_axis(x, order, -1) for x in (token, parent, score))
    was_done = search.done[..., None]  # their beams are left with padding
    token = jnp.where(was_done, ids.pad, token)
    parent, score = jnp.where(was_done, 0, parent), jnp.where(was_done, 0.0, score)
    texts = jnp.take_along_axis(search.text, parent[..., None], axis=-2)
    return search._replace(text=put(texts, token, length), score=score, done=done), parent


def _enter(search: Search, texts: Array, value: Array, size: Array) -> Search:
    """Keeps the K best of the found and the new texts; the earlier of equals."""
    value = jnp.concatenate([search.value, value], axis=-1)
    size = jnp.concatenate([search.size, size], axis=-1)
    texts = jnp.concatenate([search.found, texts], axis=-2)
    value, best = jax.lax.top_k(value, search.value.shape[-1])
    found = jnp.take_along_axis(texts, best[..., None], axis=-2)
    return search._replace(found=found, value=value, size=jnp.take_along_axis(size, best, -1))


def _winner(search: Search, length: Array, options: DecodeOptions, ids: Ids) -> Written:
    """The best text of each image, with its end where there is room."""
    open_value = jnp.where(
        search.done[..., None], -jnp.inf, search.score / length**options.length_penalty
    )
    search = _enter(search, search.text, open_value, jnp.broadcast_to(length, open_value.shape))
    images, slots = len(search.found), search.found.shape[-1]
    value = search.value.reshape(images, -1)
    best = jnp.argmax(value, axis=1)
    text = search.found.reshape(images, -1, slots)[jnp.arange(images), best]
    size = search.size.reshape(images, -1)[jnp.arange(images), best][:, None]
    place = jnp.arange(slots)
    text = jnp.where(place < size, text, jnp.where(place == size, ids.end, ids.pad))
    return Written(text, jnp.max(value, axis=1))
