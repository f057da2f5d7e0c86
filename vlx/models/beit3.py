"""BEiT-3: images as a foreign language, one Multiway Transformer for images, texts and pairs.

Paper: "Image as a Foreign Language: BEiT Pretraining for All Vision and Vision-Language Tasks",
arXiv 2208.10442. The released base and large models give every kind of token weights of its own in
all layers; the giant model of the paper shares attention, and has experts for pairs in its last
three layers. A pair is the image first, then the text.

Letters: B batch, T text length, I image tokens, P patches, L tokens, D width, V vocabulary.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vlx.layers import initializers as init
from vlx.layers.attention import unit
from vlx.layers.embeddings import Tokens
from vlx.layers.heads import Classifier, Logits
from vlx.layers.images import ImageTokens
from vlx.layers.module import Dense, Module
from vlx.layers.multiway import Multiway
from vlx.layers.norm import Norm
from vlx.layers.parts import Apart, Parts
from vlx.models.beit3_captions import Captioner
from vlx.models.beit3_config import CONFIGS, RESERVED, Beit3Config

__all__ = ["CONFIGS", "Beit3", "Beit3Config", "fresh_params"]

Array = jax.Array


class Beit3(Captioner):
    """Capabilities: encode_image, encode_text, features, patch_tokens, classify, encode_pair,
    answer, words, code_logits; init_cache, decode_step, rank.

    Images are normalised floats [B, height, width, 3], texts int32 [B, T]; `mask`, bool [B, T],
    says which of their tokens may be read, by default all that are not padding.
    """

    config: Beit3Config

    def setup(self):
        c, dtype = self.config, self.config.compute.dtype
        e, width = c.encoder, c.encoder.width
        self.image = ImageTokens(c.image_tokens, dtype)
        self.text = TextTokens(c, dtype)
        self.encoder = Multiway(e, c.compute)
        norm = partial(Norm, e.epsilon, dtype)
        if c.final_norm:
            self.norm = Apart(norm) if e.apart else norm()
        kernel = {"kernel_init": e.kernel_init, "dtype": dtype}
        small = init.cut_normal(0.001 * e.deviation)  # the official code shrinks what it has drawn
        if "contrastive" in c.heads:
            self.image_projection = Dense(width, use_bias=False, **kernel)
            self.text_projection = Dense(width, use_bias=False, **kernel)
            self.logit_scale = self.param("logit_scale", init.constant(c.logit_scale), ())
        if {"words", "captions"} & set(c.heads):
            self.word_head = Logits(c.vocabulary, **kernel)
        if "codes" in c.heads:
            self.code_head = Dense(c.codes, **kernel)
        if "classes" in c.heads:
            self.class_norm = norm()
            self.class_head = Dense(c.classes, kernel_init=small, dtype=dtype)
        if "answers" in c.heads:
            self.pooler_norm = norm()
            self.pooler = Dense(width, **kernel)
            self.answer_head = Classifier(c.answers, 2 * width, **kernel)
        if "truth" in c.heads:
            self.truth_norm = norm()
            self.truth_head = Classifier(2, 2 * width, kernel_init=small, dtype=dtype)

    def __call__(self, image: Array, text: Array) -> None:
        """Runs every part once, for `init`; what a model is asked for are the other methods."""
        c = self.config
        tokens = self._encode(image, text)
        vector = tokens[:, 0]
        if c.encoder.pair_layers:  # which alone have experts that read no pairs
            self._encode(image), self._encode(text=text)
        if "contrastive" in c.heads:
            self.image_projection(vector), self.text_projection(vector)
        if {"words", "captions"} & set(c.heads):
            self.word_head(tokens)
        if "codes" in c.heads:
            self.code_head(tokens)
        if "classes" in c.heads:
            self.class_head(self.class_norm(vector))
        if "answers" in c.heads:
            self._answers(vector)
        if "truth" in c.heads:
            self._truth(jnp.concatenate([vector] * 4, axis=-1))  # two of each image

    def encode_image(self, image: Array) -> Array:
        """Unit vectors [B, D], float32."""
        return unit(self.image_projection(self._encode(image)[:, 0]))

    def encode_text(self, text: Array, mask: Array | None = None) -> Array:
        """Unit vectors [B, D], float32."""
        return unit(self.text_projection(self._encode(text=text, mask=mask)[:, 0]))

    def scales(self) -> tuple[Array]:
        """What turns cosines into logits; vectors are of one kind."""
        return (jnp.exp(self.logit_scale),)

    def features(self, image: Array) -> Array:
        """The mean of an image's patches, after a norm: [B, D]."""
        x = jnp.mean(self._encode(image)[:, 1:], axis=1)
        return self.class_norm(x) if "classes" in self.config.heads else x

    def patch_tokens(self, image: Array) -> Array:
        """Patches after the last layer, and its norm where there is one: [B, P, D]."""
        return self._encode(image)[:, 1:]

    def classify(self, image: Array) -> Array:
        """Logits of classes: [B, C]."""
        return self.class_head(self.features(image))

    def encode_pair(
        self, image: Array, text: Array, mask: Array | None = None
    ) -> tuple[Array, Array]:
        """A vector and the tokens of image and text together: [B, D], [B, I + T, D]."""
        tokens = self._encode(image, text, mask)
        return tokens[:, 0], tokens

    def answer(
        self,
        image: Array,
        text: Array,
        second_image: Array | None = None,
        mask: Array | None = None,
    ) -> Array:
        """Logits of the answers to a question [B, A], or of false and true of a statement about two
        images [B, 2].
        """
        if second_image is None:
            vector, _ = self.encode_pair(image, text, mask)
            return self._answers(vector)
        first = self.config.image_tokens.patches + 1  # of the text
        batch = len(text)

        def twice(one, other):  # row by row, so that rows stay on their devices
            return jnp.stack([one, other], axis=1).reshape(2 * batch, *one.shape[1:])

        mask = None if mask is None else twice(mask, mask)
        _, tokens = self.encode_pair(twice(image, second_image), twice(text, text), mask)
        both = jnp.stack([tokens[:, 0], tokens[:, first]], axis=1)
        return self._truth(both.reshape(batch, -1))

    def _answers(self, vector: Array) -> Array:
        return self.answer_head(jnp.tanh(self.pooler(self.pooler_norm(vector))))

    def _truth(self, vectors: Array) -> Array:
        return self.truth_head(self.truth_norm(vectors))

    def words(self, image: Array | None, text: Array, mask: Array | None = None) -> Array:
        """Logits of the word at every place: [B, T, V]; of texts alone without an image."""
        tokens = self._encode(image, text, mask)
        return self.word_head(tokens[:, -text.shape[1] :])

    def code_logits(
        self,
        image: Array,
        hidden: Array | None = None,
        text: Array | None = None,
        mask: Array | None = None,
    ) -> Array:
        """What each patch looks like, also where it is hidden: bool [B, P] -> [B, P, codes].

        Of images alone, or with a text that tells of them.
        """
        patches = self.config.image_tokens.patches
        return self.code_head(self._encode(image, text, mask, hidden)[:, 1 : 1 + patches])

    def pair_logits(
        self, image: Array, hidden: Array, text: Array, mask: Array | None = None
    ) -> tuple[Array, Array]:
        """Of pairs of which both sides have gaps: codes [B, P, codes] and words [B, T, V]."""
        tokens = self._encode(image, text, mask, hidden)
        first = tokens.shape[1] - text.shape[1]
        return self.code_head(tokens[:, 1:first]), self.word_head(tokens[:, first:])

    def _encode(
        self,
        image: Array | None = None,
        text: Array | None = None,
        mask: Array | None = None,
        hidden: Array | None = None,
        allowed: np.ndarray | None = None,
    ) -> Array:
        """The tokens of an image, a text, or both after the last layer: [B, L, D].

        hidden: bool [B, P], patches that are masked; allowed: bool [L, L], what reads what.
        """
        kinds, seen = {}, []
        if image is not None:
            kinds["image"] = self.image(image, hidden)
            seen.append(jnp.ones(kinds["image"].shape[:2], bool))
        if text is not None:
            seen.append(text != self.config.pad if mask is None else mask)
            kinds["text"] = self.text(text) * seen[-1][..., None]
        parts = tuple((kind, x.shape[1]) for kind, x in kinds.items())
        x = jnp.concatenate(list(kinds.values()), axis=1)
        seen = None if text is None else jnp.concatenate(seen, axis=1)[:, None, None]
        seen = seen if allowed is None else seen & allowed
        return self._last(self.encoder(x, parts, together=len(parts) > 1, mask=seen), parts)

    def _last(self, x: Array, parts: Parts) -> Array:
        """x after the last norm, where there is one."""
        c = self.config
        if not c.final_norm:
            return x
        return self.norm(x, parts) if c.encoder.apart else self.norm(x)


class TextTokens(Module):
    """Words with learned positions: int32 [B, T] -> [B, T, D]."""

    config: Beit3Config
    dtype: str

    @nn.compact
    def __call__(self, text: Array, place: Array | None = None) -> Array:
        """place: int32 [T], of each token in its text, by default 0, 1, ..."""
        c, length = self.config, text.shape[1]
        if place is None and length > c.text_length:
            raise ValueError(f"text of {length} tokens, the model takes {c.text_length}.")
        place = jnp.arange(length) if place is None else place
        table = partial(Tokens, width=c.encoder.width, dtype=self.dtype)
        x = table(c.vocabulary, deviation=c.encoder.width**-0.5, name="tokens")(text)
        rows = c.text_length + RESERVED
        position = table(rows, deviation=c.position_deviation, name="positions")
        return x + position(place[None] + RESERVED)


def fresh_params(model: Beit3, rng: Array) -> dict:
    """Initial parameters: with `sub_norm_scale`, what writes to the residual starts larger."""
    c = model.config
    image, text = jnp.zeros((1, *c.image_size, 3)), jnp.zeros((1, 1), jnp.int32)
    params = flatten_dict(model.init(rng, image, text)["params"], sep="/")
    if c.sub_norm_scale:
        factor = np.sqrt(np.log(2 * c.encoder.layers))
        grown = ("value", "out", "up", "down")
        params = {
            path: x * factor
            if path.startswith("encoder/") and set(path.split("/")) & set(grown)
            else x
            for path, x in params.items()
        }
    return unflatten_dict(params, sep="/")
