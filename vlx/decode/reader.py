"""The model's part in decoding: texts in, logits of the next token out.

Letters: B texts, L slots, V vocabulary.
"""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vlx.layers.cache import CACHE, take_texts

Array = jax.Array


@dataclass(frozen=True)
class CachedReader:
    """Reads each token once, and keeps its keys and values."""

    model: nn.Module  # with init_cache and decode_step
    params: Any

    def start(self, image: Array, text: Array, length: int, copies: int) -> tuple[Array, Any]:
        """The first `length` tokens of text [B, L] read: logits [B, V], and a state.

        image: [B / copies, height, width, 3].
        """
        cache = self._call({}, image, text.shape[1], copies, method="init_cache")[1]
        return self._read(cache, text[:, :length])

    def next(self, state: Any, text: Array, length: Array) -> tuple[Array, Any]:
        """The token before `length` read: logits [B, V], and the new state."""
        return self._read(state, jax.lax.dynamic_slice_in_dim(text, length - 1, 1, axis=1))

    def take(self, state: Any, rows: Array) -> Any:
        """The state after text i became the former text rows[i], of the same image."""
        return take_texts(state, rows)

    def _read(self, cache, tokens):
        logits, cache = self._call(cache, tokens, method="decode_step")
        return logits[:, -1], cache

    def _call(self, cache, *args, method):
        variables = {"params": self.params, CACHE: cache}
        result, changed = self.model.apply(variables, *args, method=method, mutable=[CACHE])
        return result, changed[CACHE]


@dataclass(frozen=True)
class FreshReader(CachedReader):
    """Reads the last `window` tokens anew at every step: slow, and what a cache must equal."""

    window: int

    def start(self, image, text, length, copies):
        state = self._call({}, image, self.window, copies, method="init_cache")[1]
        return self.next(state, text, jnp.asarray(length))

    def next(self, state, text, length):
        first = jnp.maximum(length - self.window, 0)
        tokens = jax.lax.dynamic_slice_in_dim(text, first, self.window, axis=1)
        logits, _ = self._call(state, tokens, method="decode_step")
        last = jnp.minimum(length, self.window) - 1
        return jax.lax.dynamic_index_in_dim(logits, last, axis=1, keepdims=False), state

    def take(self, state, rows):
        return state  # it knows the images only
