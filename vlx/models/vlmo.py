"""VLMo: one Transformer for images, texts and pairs, with an expert for each.

Paper: "VLMo: Unified Vision-Language Pre-Training with Mixture-of-Modality-Experts", arXiv
2111.02358. Details follow the official release. A pair is the text first, then the image.

Letters: B batch, T text length, I image tokens, D width, V vocabulary, A answers.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from vlx.layers import initializers as init
from vlx.layers import relative
from vlx.layers.attention import unit
from vlx.layers.dropout import Dropout
from vlx.layers.embeddings import Tokens
from vlx.layers.heads import Classifier, WordHead
from vlx.layers.images import ImageTokens
from vlx.layers.module import Dense, Module
from vlx.layers.multiway import Multiway
from vlx.layers.norm import Norm
from vlx.layers.parts import Parts
from vlx.models.vlmo_config import CONFIGS, IMAGE, PAD, SECOND_IMAGE, TEXT, VlmoConfig

__all__ = ["CONFIGS", "Vlmo", "VlmoConfig"]

Array = jax.Array


@struct.dataclass
class Unimodal:
    """What one pass over images alone, or texts alone, yields."""

    vector: Array  # [B, D], unit length, float32
    pair_vector: Array | None  # the same by the upper layers' experts for pairs
    tokens: Array  # [B, L, D], after the last norm


class Vlmo(Module):
    """Capabilities: encode_image, encode_text, features, patch_tokens, encode_pair, match, answer,
    words.
    """

    config: VlmoConfig

    def setup(self):
        c, dtype = self.config, self.config.compute.dtype
        width, kernel = c.encoder.width, init.normal(0.02)
        self.image = ImageTokens(c.image_tokens, dtype)
        self.text = TextTokens(c, dtype)
        kinds = 2 + ("truth" in c.heads and c.truth_images == 2)
        self.types = Tokens(kinds, width, dtype=dtype)
        self.encoder = Multiway(c.encoder, c.compute)
        self.norm = Norm(c.encoder.epsilon, dtype)
        dense = partial(Dense, width, kernel_init=kernel, dtype=dtype)
        self.pooler = dense()
        for name, prefix in (("contrastive", ""), ("pair_contrastive", "pair_")):
            if name in c.heads:
                setattr(self, f"{prefix}image_projection", dense(use_bias=False))
                setattr(self, f"{prefix}text_projection", dense(use_bias=False))
                name = f"{prefix}logit_scale"
                setattr(self, name, self.param(name, init.constant(c.logit_scale), ()))
        if "matching" in c.heads:
            self.match_head = Dense(2, kernel_init=kernel, dtype=dtype)
        if "words" in c.heads:
            self.word_head = WordHead(c.vocabulary, width, dtype=dtype)
        if "answers" in c.heads:
            self.answer_head = Classifier(c.answers, 2 * width, dtype=dtype)
        if "truth" in c.heads:
            self.truth_head = Classifier(2, 2 * width, dtype=dtype)

    def __call__(self, image: Array, text: Array) -> None:
        """Runs every part once, for `init`; what a model is asked for are the other methods."""
        c = self.config
        x, parts, how = self._embed_pair(image, text)
        tokens = self.norm(self.encoder(x, parts, together=True, **how))
        pooled = self._pool(tokens)
        self.encoder.rise(x, parts, **how)  # by the upper experts that read no pairs
        for name, prefix in (("contrastive", ""), ("pair_contrastive", "pair_")):
            if name in c.heads:
                getattr(self, f"{prefix}image_projection")(pooled)
                getattr(self, f"{prefix}text_projection")(pooled)
        if "matching" in c.heads:
            self.match_head(pooled)
        if "words" in c.heads:
            self.word_head(tokens)
        if "answers" in c.heads:
            self.answer_head(pooled)
        if "truth" in c.heads:
            self.truth_head(jnp.concatenate([pooled] * c.truth_images, axis=-1))

    def of_image(self, image: Array) -> Unimodal:
        """image: normalised floats [B, height, width, 3]."""
        return self._vectors(*self._alone(self._embed_image(image), "image"), "image")

    def of_text(self, text: Array) -> Unimodal:
        """text: int32 [B, T]."""
        return self._vectors(*self._alone(self._embed_text(text), "text", _readable(text)), "text")

    def encode_image(self, image: Array) -> Array:
        """Unit vectors [B, D], float32."""
        return self.of_image(image).vector

    def encode_text(self, text: Array) -> Array:
        """Unit vectors [B, D], float32."""
        return self.of_text(text).vector

    def features(self, image: Array) -> Array:
        """The mean of an image's patches after the last norm: [B, D]."""
        tokens, _ = self._alone(self._embed_image(image), "image")
        return jnp.mean(self.norm(tokens)[:, 1:], axis=1)

    def patch_tokens(self, image: Array) -> Array:
        """Patches after the last layer, before its norm: [B, P, D]."""
        return self._alone(self._embed_image(image), "image")[0][:, 1:]

    def encode_pair(
        self, image: Array, text: Array, mask: Array | None = None, kind: Array | int = IMAGE
    ) -> tuple[Array, Array]:
        """A vector and the tokens of text and image together: [B, D], [B, T + I, D].

        mask: bool [B, T], which text tokens may be read; by default all that are not padding.
        kind: IMAGE or SECOND_IMAGE, for all images or for each [B].
        """
        tokens = self._pair(image, text, mask, kind)
        return self._pool(tokens), tokens

    def words(self, image: Array | None, text: Array, mask: Array | None = None) -> Array:
        """Logits of the word at every place: [B, T, V]; of texts alone without an image."""
        mask = text != PAD if mask is None else mask
        if image is None:
            tokens, _ = self._alone(self._embed_text(text), "text", mask[:, None, None])
            return self.word_head(self.norm(tokens))
        return self.word_head(self._pair(image, text, mask)[:, : text.shape[1]])

    def match_logits(self, image: Array, text: Array, mask: Array | None = None) -> Array:
        """Whether they belong together: [B, 2], no and yes."""
        return self.match_head(self.encode_pair(image, text, mask)[0])

    def match(self, image: Array, text: Array) -> Array:
        """How much an image and a text belong together: float32 [B]."""
        return self.match_logits(image, text)[:, 1].astype(jnp.float32)

    def answer(self, image: Array, text: Array, second_image: Array | None = None) -> Array:
        """Logits of the answers to a question [B, A], or of false and true of a statement [B, 2].

        A model with the head for statements reads one.
        """
        if second_image is None:
            c = self.config
            head = (
                self.truth_head if "truth" in c.heads and c.truth_images == 1 else self.answer_head
            )
            return head(self.encode_pair(image, text)[0])
        batch = len(text)

        def alternate(first, second):  # row by row, so that rows stay on their devices
            return jnp.stack([first, second], axis=1).reshape(2 * batch, *first.shape[1:])

        kind = alternate(jnp.full(batch, IMAGE), jnp.full(batch, SECOND_IMAGE))
        pooled, _ = self.encode_pair(
            alternate(image, second_image), alternate(text, text), kind=kind
        )
        return self.truth_head(pooled.reshape(batch, -1))

    def scales(self) -> tuple[Array, Array | None]:
        """What turns cosines into logits, of vectors and of pair vectors."""
        pairs = "pair_contrastive" in self.config.heads
        return jnp.exp(self.logit_scale), jnp.exp(self.pair_logit_scale) if pairs else None

    def _embed_image(self, image: Array, kind: Array | int = IMAGE) -> Array:
        kinds = jnp.broadcast_to(kind, (len(image),))[:, None]
        return self.image(image) + self.types(kinds)

    def _embed_text(self, text: Array) -> Array:
        return self.text(text) + self.types(jnp.full((1, 1), TEXT))

    def _alone(self, x: Array, kind: str, mask: Array | None = None) -> tuple[Array, Array]:
        """Tokens [B, L, D] of one kind after the last layer, and before the upper ones."""
        parts = ((kind, x.shape[1]),)
        how = {"mask": mask, "index": self._index(kind, x.shape[1])}
        below = self.encoder.climb(x, parts, **how)
        return self.encoder.rise(below, parts, **how), (below, how)

    def _vectors(self, last: Array, below: tuple[Array, dict], kind: str) -> Unimodal:
        c, pair_vector = self.config, None
        tokens = self.norm(last)
        if "pair_contrastive" in c.heads:
            x, how = below
            together = self.encoder.rise(x, (), together=True, **how)
            project = getattr(self, f"pair_{kind}_projection")
            pair_vector = unit(project(self.norm(together)[:, 0]))
        project = getattr(self, f"{kind}_projection")
        return Unimodal(unit(project(tokens[:, 0])), pair_vector, tokens)

    def _pair(self, image, text, mask=None, kind=IMAGE) -> Array:
        x, parts, how = self._embed_pair(image, text, mask, kind)
        return self.norm(self.encoder(x, parts, together=True, **how))

    def _pool(self, tokens: Array) -> Array:
        return jnp.tanh(self.pooler(tokens[:, 0]))

    def _embed_pair(self, image, text, mask=None, kind=IMAGE) -> tuple[Array, Parts, dict]:
        """Text and image in a sequence, the parts of it, and what its layers are given."""
        mask = text != PAD if mask is None else mask
        words, patches = self._embed_text(text), self._embed_image(image, kind)
        seen = jnp.pad(mask, ((0, 0), (0, patches.shape[1])), constant_values=True)
        parts = ("text", words.shape[1]), ("image", patches.shape[1])
        x = jnp.concatenate([words, patches], axis=1)
        return x, parts, {"mask": seen[:, None, None], "index": self._index("pair", text.shape[1])}

    def _index(self, kind: str, length: int) -> np.ndarray | None:
        """Relative positions of images, of texts of this length, or of both."""
        c = self.config
        if not c.is_relative:
            return None
        if kind == "image":
            return relative.image_index(c.grid)
        make = relative.text_index if kind == "text" else relative.pair_index
        return make(c.grid, c.longest, length)


class TextTokens(Module):
    """Word vectors as BERT embeds them: int32 [B, T] -> [B, T, D]."""

    config: VlmoConfig
    dtype: str

    @nn.compact
    def __call__(self, text: Array) -> Array:
        c, length = self.config, text.shape[1]
        if length > c.text_length:
            raise ValueError(f"text of {length} tokens, the model takes {c.text_length}.")
        table = partial(Tokens, width=c.encoder.width, dtype=self.dtype)
        x = table(c.vocabulary, padding=PAD, padding_is_zero=False, name="tokens")(text)
        x = x + table(2, name="types")(jnp.zeros((1, 1), jnp.int32))
        # A model with relative positions owns this table too, as published; nothing reads it.
        positions = table(c.text_length, name="positions")(jnp.arange(length)[None])
        x = x if c.is_relative else x + positions
        x = Norm(1e-12, self.dtype, name="norm")(x)
        return Dropout(c.encoder.drop_path)(x)  # the official code takes one rate for both


def _readable(text: Array) -> Array:
    return (text != PAD)[:, None, None]
