"""VLMo: one Transformer for images, texts and pairs, with an expert for each.

Paper: "VLMo: Unified Vision-Language Pre-Training with Mixture-of-Modality-Experts", arXiv
2111.02358. Sizes and details follow the official release. A pair is the text first, then the
image.

Letters: B batch, T text length, I image tokens, D width, V vocabulary, A answers.
"""

from dataclasses import dataclass, replace
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
from vlx.layers.embeddings import SquarePatches, Tokens
from vlx.layers.heads import Classifier, WordHead
from vlx.layers.images import ImageTokens, ImageTokensConfig
from vlx.layers.multiway import Multiway, MultiwayConfig
from vlx.layers.norm import Norm
from vlx.layers.stack import Compute

Array = jax.Array

HEADS = ("contrastive", "pair_contrastive", "matching", "words", "answers", "truth")
PAD = 0  # BERT's
POSITIONS = ("relative", "absolute", "both", "none")
TEXT, IMAGE, SECOND_IMAGE = 0, 1, 2  # rows of the table of kinds


@dataclass(frozen=True)
class VlmoConfig(SquarePatches):
    """The encoder's `relative_rows` follow from the other sizes and are filled in."""

    encoder: MultiwayConfig
    image_size: tuple[int, int] = (224, 224)  # height, width
    patch: int = 16
    vocabulary: int = 30522
    text_length: int = 40  # of the longest text
    positions: str = "relative"  # or "absolute", "both", "none"
    longest: int = 196  # texts that the relative positions have rows for
    heads: tuple[str, ...] = ("contrastive", "pair_contrastive", "matching", "words")
    answers: int = 3129
    truth_images: int = 2  # that a statement is about
    logit_scale: float = np.log(1 / 0.07)  # initial, of its logarithm
    compute: Compute = Compute()

    def __post_init__(self):
        unknown = set(self.heads) - set(HEADS)
        if unknown:
            raise ValueError(f"heads: {sorted(unknown)} unknown; choose from {', '.join(HEADS)}.")
        if self.truth_images not in (1, 2):
            raise ValueError(f"truth_images={self.truth_images} must be 1 or 2.")
        if {"answers", "truth"} <= set(self.heads) and self.truth_images == 1:
            raise ValueError(
                "heads: a model answers questions or judges statements about an image."
            )
        if "pair_contrastive" in self.heads and "contrastive" not in self.heads:
            raise ValueError("heads: pair_contrastive comes beside contrastive.")
        if self.positions not in POSITIONS:
            raise ValueError(f"positions={self.positions!r}: choose from {', '.join(POSITIONS)}.")
        if self.text_length > self.longest and self.is_relative:
            raise ValueError(
                f"text_length={self.text_length} exceeds longest={self.longest}, the relative "
                "positions."
            )
        rows = relative.table_rows(self.grid, self.longest) if self.is_relative else 0
        object.__setattr__(self, "encoder", replace(self.encoder, relative_rows=rows))

    @property
    def is_relative(self) -> bool:
        return self.positions in ("relative", "both")

    @property
    def is_absolute(self) -> bool:
        return self.positions in ("absolute", "both")

    @property
    def embedding(self) -> int:
        """Numbers of the vectors that images and texts are compared by."""
        return self.encoder.width

    @property
    def image_tokens(self) -> ImageTokensConfig:
        return ImageTokensConfig(
            self.image_size, self.patch, self.encoder.width, positions=self.is_absolute
        )


@struct.dataclass
class Unimodal:
    """What one pass over images alone, or texts alone, yields."""

    vector: Array  # [B, D], unit length, float32
    pair_vector: Array | None  # the same by the upper layers' experts for pairs
    tokens: Array  # [B, L, D], after the last norm


class Vlmo(nn.Module):
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
        dense = partial(nn.Dense, width, kernel_init=kernel, dtype=dtype)
        self.pooler = dense()
        for name, prefix in (("contrastive", ""), ("pair_contrastive", "pair_")):
            if name in c.heads:
                setattr(self, f"{prefix}image_projection", dense(use_bias=False))
                setattr(self, f"{prefix}text_projection", dense(use_bias=False))
                name = f"{prefix}logit_scale"
                setattr(self, name, self.param(name, init.constant(c.logit_scale), ()))
        if "matching" in c.heads:
            self.match_head = nn.Dense(2, kernel_init=kernel, dtype=dtype)
        if "words" in c.heads:
            self.word_head = WordHead(c.vocabulary, width, dtype=dtype)
        if "answers" in c.heads:
            self.answer_head = Classifier(c.answers, 2 * width, dtype=dtype)
        if "truth" in c.heads:
            self.truth_head = Classifier(2, 2 * width, dtype=dtype)

    def __call__(self, image: Array, text: Array) -> None:
        """Runs every part once, for `init`; what a model is asked for are the other methods."""
        c = self.config
        pooled, tokens = self.encode_pair(image, text)
        if "contrastive" in c.heads:
            self.of_image(image), self.of_text(text)
        else:
            self._alone(self._embed_image(image), "image")
            self._alone(self._embed_text(text), "text", _readable(text))
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
        return jnp.tanh(self.pooler(tokens[:, 0])), tokens

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
        mask = text != PAD if mask is None else mask
        words, patches = self._embed_text(text), self._embed_image(image, kind)
        seen = jnp.pad(mask, ((0, 0), (0, patches.shape[1])), constant_values=True)
        parts = ("text", words.shape[1]), ("image", patches.shape[1])
        x = jnp.concatenate([words, patches], axis=1)
        how = {"mask": seen[:, None, None], "index": self._index("pair", text.shape[1])}
        return self.norm(self.encoder(x, parts, together=True, **how))

    def _index(self, kind: str, length: int) -> np.ndarray | None:
        """Relative positions of images, of texts of this length, or of both."""
        c = self.config
        if not c.is_relative:
            return None
        if kind == "image":
            return relative.image_index(c.grid)
        make = relative.text_index if kind == "text" else relative.pair_index
        return make(c.grid, c.longest, length)


class TextTokens(nn.Module):
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


def _preset(layers: int, width: int, heads: int, pair_layers: int, **options) -> VlmoConfig:
    scale = 0.1 if options.get("positions", "relative") == "relative" else 0.0
    encoder = MultiwayConfig(
        width, layers, heads, 4 * width, pair_layers=pair_layers, layer_scale=scale
    )
    return VlmoConfig(encoder, **options)


def _tiny() -> VlmoConfig:
    """A model of the base's form for laptops, tests and the demo."""
    # At this width and depth, branches that start as small as the base's would learn slowly.
    encoder = MultiwayConfig(96, 4, 4, 288, pair_layers=1, deviation=0.08)
    return VlmoConfig(encoder, (48, 48), 8, vocabulary=512, text_length=24, longest=32, answers=64)


CONFIGS = {
    "tiny": _tiny(),
    "base": _preset(12, 768, 12, 2),
    "base_plus": _preset(24, 544, 16, 3, positions="absolute"),
    "large": _preset(24, 1024, 16, 3),
}
