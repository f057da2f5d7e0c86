"""Beam search that keeps one finished text of each image, as BEiT-3's release did.

Kept to reproduce published captions. Two of its habits matter where captions are short: a length
counts the start token and the place after the last word, and a text that reaches the limit is
scored with one word more than it keeps. Letters: B images, K beams, C candidates, L slots.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vlx.decode.beam import LOW, Beams, at, best_of, both, extend, pick, put
from vlx.decode.options import DecodeOptions, Ids
from vlx.decode.sample import Written
from vlx.errors import UserError

Array = jax.Array

CANDIDATES = 3  # for each beam


class Search(NamedTuple):
    """Running beams, and the best finished text of every image."""

    running: Beams  # [B, K, ..]
    found: Beams  # [B, 1, ..], -inf where none was found
    done: Array  # [B]


def beam_search_for_one(
    reader, image: Array, text: Array, start: int, options: DecodeOptions, ids: Ids
) -> Written:
    """The best continuation of text [B, L] after its first `start` tokens."""
    slots = text.shape[1]
    if start + 2 > slots:
        raise UserError(
            f"A text of at most {slots} tokens that begins with {start} has no room for a word and "
            f"the place after it, as score={options.score!r} counts; raise max_length."
        )
    search = begin(text, start, options, ids)
    rows = search.running.text.reshape(-1, slots)
    logits, state = reader.start(image, rows, start, options.beams)

    def going(carry):
        length, search, *_ = carry
        return (length + 2 <= slots) & ~jnp.all(search.done)

    def step(carry):
        length, search, logits, state = carry
        search, parent, _ = grow(search, logits, length, options, ids)
        state = reader.take(state, parent)
        logits, state = reader.next(state, search.running.text.reshape(-1, slots), length + 1)
        return length + 1, search, logits, state

    _, search, *_ = jax.lax.while_loop(going, step, (jnp.asarray(start), search, logits, state))
    return Written(search.found.text[:, 0], search.found.score[:, 0])


def begin(text: Array, start: int, options: DecodeOptions, ids: Ids) -> Search:
    """Before the first word: all beams are alike, so one alone counts."""
    text = jnp.where(jnp.arange(text.shape[1]) < start, text, ids.pad)[:, None]
    beams = jnp.repeat(text, options.beams, axis=1)
    score = jnp.full(beams.shape[:2], LOW).at[:, 0].set(0.0)
    none = Beams(text, jnp.full(text.shape[:2], -jnp.inf))
    return Search(Beams(beams, score), none, jnp.zeros(len(text), bool))


def grow(
    search: Search, logits: Array, length: Array, options: DecodeOptions, ids: Ids
) -> tuple[Search, Array, Beams]:
    """One token more for every beam: the search, the rows [B * K] that it goes on with, and what
    it found, [B, C, ..] with the scores of finished texts, -inf for others.

    An image is done when its found text is worth as much as the best candidate would be, were it
    as long as a text can be.
    """
    images, k, slots = search.running.text.shape
    count = CANDIDATES * k
    candidates, parent = extend(search.running, logits, length, options, ids, count)
    hope = candidates.score[:, 0] / (slots - 1.0) ** options.length_penalty
    done = search.done | (search.found.score[:, 0] >= hope)

    last = at(candidates.text, length)
    ends = last == ids.end
    places = jnp.cumsum(~ends, axis=1) - ~ends  # beams that are taken before a candidate's turn
    at_limit = length + 2 == slots
    finished = ((ends & (places < k)) | at_limit) & ~done[:, None]
    value = candidates.score / (length + 1.0) ** options.length_penalty
    found = Beams(
        put(candidates.text, jnp.full_like(last, ids.end), length),
        jnp.where(finished, value, -jnp.inf),
    )
    best = best_of(both(search.found, found), 1)[0]
    order = jnp.argsort(ends, axis=1, stable=True)[:, :k]  # what goes on
    parent = jnp.take_along_axis(parent, order, axis=1) + k * jnp.arange(images)[:, None]
    return Search(pick(candidates, order), best, done), parent.reshape(-1), found
