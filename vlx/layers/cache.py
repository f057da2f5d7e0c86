"""Keys and values of earlier tokens, kept while a text grows.

They live in the variable collection `cache`, whose leaves have these names:
- `text` [B, L]: the tokens themselves; `filled`: how many of the L slots count;
- `past_key`, `past_value` [.., B, L, H, K]: of self-attention, a slot for each token;
- `context_key`, `context_value` [.., C, S, H, K]: of cross-attention, for each of C contexts.

B is a multiple of C: several texts in a row may share one context.

Letters: B texts, L slots, C contexts, S context tokens, H heads, K head size.
"""

import jax
import jax.numpy as jnp
from flax import struct

Array = jax.Array

CACHE = "cache"


@struct.dataclass
class Slots:
    """Where the tokens of a call go."""

    first: Array  # int32 scalar: the slot of the call's first token
    length: int = struct.field(pytree_node=False)  # L
    causal: bool = struct.field(pytree_node=False, default=True)  # else masks alone rule

    def visible(self, tokens: int) -> Array:
        """Which slots each of the call's tokens may read, itself included: bool [tokens, L]."""
        if not self.causal:
            return jnp.ones((tokens, self.length), bool)
        return jnp.arange(self.length) <= self.first + jnp.arange(tokens)[:, None]

    def write(self, all_slots: Array, new: Array) -> Array:
        """[B, L, ..] with `new` [B, tokens, ..] in its slots."""
        new = new.astype(all_slots.dtype)
        return jax.lax.dynamic_update_slice_in_dim(all_slots, new, self.first, axis=1)


def take_texts(cache, rows: Array):
    """The cache after its texts were chosen anew: text i becomes the former text `rows[i]`.

    A chosen text must share the context of the one it replaces.
    """

    def take(path, x):
        name = path[-1].key
        if name == "text":
            return x[rows]
        return jnp.take(x, rows, axis=-4) if name in ("past_key", "past_value") else x

    return jax.tree_util.tree_map_with_path(take, cache)
