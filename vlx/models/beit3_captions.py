"""How BEiT-3 writes: each word is predicted where a mask stands in its place.

Words see the image and the words before them; a mask sees what stands before it and itself, and
nothing sees a mask.

Letters: B batch, T text length, n words of a call, I image tokens, L tokens, V vocabulary.
"""

import jax
import jax.numpy as jnp
import numpy as np

from vlx.errors import UserError
from vlx.layers.cache import CACHE, Slots
from vlx.layers.module import Module
from vlx.layers.parts import Parts

Array = jax.Array


class Captioner(Module):
    """Capabilities of a model with the head `captions`: init_cache, decode_step, rank.

    What is read, and how, is the model's own: its `config`, `image`, `text`, `encoder`,
    `word_head`, `_encode` and `_last`.
    """

    def caption_logits(self, image: Array, text: Array, mask: Array | None = None) -> Array:
        """Logits of the word at each place, from the image and no later words: [B, T, V].

        text: int32 [B, T], with masks where words are to be predicted; mask: bool [B, T], which of
        them may be read.
        """
        length = text.shape[1]
        allowed = _after_image(self._image_length, np.tri(length, dtype=bool))
        return self.word_head(self._encode(image, text, mask, allowed=allowed)[:, -length:])

    def rank(self, image: Array, text: Array) -> Array:
        """Log-likelihood of texts int32 [B, T], each after its first token: float32 [B]."""
        known, after = text[:, :-1], text[:, 1:]
        count, first = known.shape[1], self._image_length
        x = jnp.concatenate([self.image(image), self._words_and_masks(known, 0)], axis=1)
        mask = _after_image(first, _reading(count))[None, None]
        x = self._read(x, (("image", first), ("text", 2 * count)), mask)
        logits = self.word_head(x[:, -count:]).astype(jnp.float32)
        share = jax.nn.log_softmax(logits)
        chosen = jnp.take_along_axis(share, after[..., None], axis=-1)[..., 0]
        return jnp.sum(chosen, axis=1, where=after != self.config.pad)

    def init_cache(self, image: Array, length: int, copies: int = 1) -> None:
        """Reads images [B, height, width, 3] into the collection `cache`.

        It is ready for `copies` texts of each, one after another, of at most `length` tokens.
        Raises UserError for longer texts than the model reads.
        """
        longest = self.config.text_length
        if length > longest:
            raise UserError(
                f"Texts of {length} tokens cannot be written, the model takes {longest}; set "
                f"max_length={longest} or less."
            )
        x = jnp.repeat(self.image(image), copies, axis=0)
        first = x.shape[1]
        slots = Slots(jnp.asarray(0), first + 2 * length, causal=False)  # a mask for each word
        seen = jnp.arange(slots.length) < first
        self._read(x, (("image", first),), seen[None, None, None], slots)
        self.put_variable(CACHE, "filled", jnp.asarray(0))

    def decode_step(self, text: Array, keep: int | None = None) -> Array:
        """Logits of what follows each of the next tokens: int32 [B, n] -> [B, n, V], float32.

        Only the first `keep` of the tokens (all by default) count as written; masks never do.
        """
        count, filled = text.shape[1], self.get_variable(CACHE, "filled")
        slots = Slots(self._image_length + filled, self._slots, causal=False)
        known = jnp.arange(slots.length) < slots.first
        mask = jnp.tile(known, (2 * count, 1))
        mask = jax.lax.dynamic_update_slice_in_dim(mask, _reading(count), slots.first, axis=1)
        x = self._words_and_masks(text, filled)
        x = self._read(x, (("text", 2 * count),), mask[None, None], slots)
        self.put_variable(CACHE, "filled", filled + (count if keep is None else keep))
        return self.word_head(x[:, count:]).astype(jnp.float32)

    @property
    def _image_length(self) -> int:
        return self.config.image_tokens.patches + 1

    @property
    def _slots(self) -> int:
        """Of the cache."""
        stack = "upper" if self.config.encoder.pair_layers else "lower"
        keys = getattr(self.encoder, stack).variables[CACHE]["layers"]["attention"]["past_key"]
        return keys.shape[-3]

    def _words_and_masks(self, text: Array, filled: Array | int) -> Array:
        """Text [B, n], then as many masks, each in the place of the next word: [B, 2n, D]."""
        place = filled + jnp.arange(text.shape[1])
        both = jnp.concatenate([text, jnp.full_like(text, self.config.mask)], axis=1)
        # The mask after the longest text has no place; what it says is not asked for.
        after = jnp.minimum(place + 1, self.config.text_length - 1)
        return self.text(both, jnp.concatenate([place, after]))

    def _read(self, x: Array, parts: Parts, mask: Array, slots: Slots | None = None) -> Array:
        """Tokens of an image and a text together, or of one after the other with `slots`."""
        return self._last(self.encoder(x, parts, together=True, mask=mask, slots=slots), parts)


def _reading(count: int) -> np.ndarray:
    """Which of n words, and n masks after them, each of these reads: bool [2n, 2n]."""
    words, itself = np.tri(count, dtype=bool), np.eye(count, dtype=bool)
    return np.block([[words, np.zeros_like(itself)], [words, itself]])


def _after_image(first: int, text: np.ndarray) -> np.ndarray:
    """The same with an image of so many tokens before it, read by all: bool [L, L]."""
    allowed = np.pad(text, ((first, 0), (first, 0)))
    allowed[:, :first] = True
    return allowed
