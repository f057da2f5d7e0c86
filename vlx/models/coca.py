"""CoCa: a contrastive captioner.

Paper: "CoCa: Contrastive Captioners are Image-Text Foundation Models", arXiv 2205.01917.
`base`, `large` and `g` are the paper's models; the presets with longer names are open_clip's.

Letters: B batch, T text length, S image tokens, D width, E embedding, V vocabulary.
"""

from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from vlx.errors import UserError
from vlx.layers import initializers as init
from vlx.layers import stack
from vlx.layers.attention import READ, unit
from vlx.layers.bert import BertTextConfig
from vlx.layers.cache import CACHE, Slots
from vlx.layers.module import Dense, Module
from vlx.layers.norm import Norm
from vlx.layers.stack import Compute
from vlx.layers.text import TextConfig
from vlx.layers.transformer import (
    CrossLayer,
    SelfLayer,
    TransformerConfig,
    attention_branch,
    mlp_branch,
)
from vlx.layers.vision import PoolerConfig, VisionConfig
from vlx.models.clip import Clip, ClipConfig, Scale

Array = jax.Array


@dataclass(frozen=True)
class DecoderConfig:
    """The half of the decoder that attends to the image."""

    encoder: TransformerConfig
    vocabulary: int
    block: str = "single_mlp"  # the paper's layer; "separate_mlp" is open_clip's
    tie_embeddings: bool = False  # logits from the text tower's table

    def __post_init__(self):
        if self.block not in ("single_mlp", "separate_mlp"):
            raise ValueError(f"block={self.block!r}: choose single_mlp or separate_mlp.")


@dataclass(frozen=True, kw_only=True)
class CocaConfig(ClipConfig):
    """The two towers of CLIP, the text tower being the first half of the decoder, and the rest."""

    decoder: DecoderConfig

    def __post_init__(self):
        decoder, vocabulary = self.decoder, self.text.vocabulary
        if decoder.tie_embeddings and decoder.vocabulary != vocabulary:
            raise ValueError(
                f"tie_embeddings needs equal vocabularies: text {vocabulary}, decoder "
                f"{decoder.vocabulary}."
            )


@struct.dataclass
class CocaOutput:
    """Everything the objectives read."""

    image: Array  # [B, E], unit length, float32
    text: Array  # [B, E], unit length, float32
    image_tokens: Array  # [B, S, D], what the decoder reads
    text_tokens: Array  # [B, T, D]
    logits: Array  # [B, T, V], position t predicts token t + 1
    scale: Scale


class SeparateLayer(Module):
    """A causal self-attention layer, then a cross-attention layer, each with its own MLP."""

    config: TransformerConfig
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array, image: Array, slots: Slots | None = None) -> Array:
        x = SelfLayer(self.config, causal=True, dtype=self.dtype, name="self")(x, slots=slots)
        return CrossLayer(self.config, self.dtype, name="cross")(x, image, slots)


class SingleLayer(Module):
    """Causal self-attention, cross-attention and one MLP (16 D^2 weights, paper table 1)."""

    config: TransformerConfig
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array, image: Array, slots: Slots | None = None) -> Array:
        c, norm = self.config, partial(Norm, self.config.epsilon, self.dtype)
        y = norm(name="attention_norm")(x)
        x = x + attention_branch(c, self.dtype, "attention", y, causal=True, slots=slots)
        y = norm(name="cross_norm")(x)
        x = x + attention_branch(c, self.dtype, "cross", y, image, slots=slots)
        return x + mlp_branch(c, self.dtype, x)


class Decoder(Module):
    """Text features and image tokens to features: [B, T, D], [B, S, D] -> [B, T, D]."""

    config: DecoderConfig
    compute: Compute

    @nn.compact
    def __call__(self, x: Array, image: Array, slots: Slots | None = None) -> Array:
        c, dtype = self.config.encoder, self.compute.dtype
        if self.config.block == "separate_mlp":
            layer = SeparateLayer(c, dtype, name="layers")
        else:
            layer = SingleLayer(c, dtype, name="layers")
            image = Norm(c.epsilon, dtype, name="context_norm")(image)
        x = stack.run(layer, c.layers, self.compute, x, image, slots)
        return Norm(c.epsilon, dtype, name="norm")(x)


class Coca(Clip):
    """Capabilities: encode_image, encode_text, features, patch_tokens; init_cache, decode_step,
    rank; attended, what it reads of an image.
    """

    config: CocaConfig

    def setup(self):
        super().setup()
        c = self.config
        self.decoder = Decoder(c.decoder, c.compute)
        if not c.decoder.tie_embeddings:
            # open_clip leaves this matrix uninitialised; its intended rule is used here.
            self.head = Dense(
                c.decoder.vocabulary,
                use_bias=False,
                kernel_init=init.normal(c.decoder.encoder.width**-0.5),
                dtype=c.compute.dtype,
            )

    def __call__(self, image: Array, text: Array, patch_noise: Array | None = None) -> CocaOutput:
        """image: normalised floats [B, height, width, 3]; text: int32 [B, T], start to end.

        patch_noise: [B, P], only where `vision.patch_dropout` shall follow given draws.
        """
        image_vector, image_tokens = self.image(image, patch_noise)
        text_vector, text_tokens = self.text(text)
        return CocaOutput(
            image=unit(image_vector),
            text=unit(text_vector),
            image_tokens=image_tokens,
            text_tokens=text_tokens,
            logits=self._logits(self.decoder(text_tokens, image_tokens)),
            scale=self.scale(),
        )

    def init_cache(self, image: Array, length: int, copies: int = 1) -> None:
        """Reads images [B, height, width, 3] into the collection `cache`.

        It is ready for `copies` texts of each, one after another, of at most `length` tokens.
        """
        text = self.config.text
        if not (isinstance(text, TextConfig) and text.causal):
            raise UserError(
                "This model's text tower reads both ways, so it cannot write captions; take one "
                "with model.text.causal=True."
            )
        self.put_variable(CACHE, "image", self.image(image)[1])
        self.text.init_cache(len(image) * copies, length)

    def decode_step(self, text: Array, keep: int | None = None) -> Array:
        """Logits of what follows each of the next tokens: int32 [B, n] -> [B, n, V], float32.

        Only the first `keep` of the tokens (all by default) count as written.
        """
        x, slots = self.text.continued(text, text.shape[1] if keep is None else keep)
        x = self.decoder(x, self.get_variable(CACHE, "image"), slots)
        return self._logits(x).astype(jnp.float32)

    def rank(self, image: Array, text: Array) -> Array:
        """Log-likelihood of texts int32 [B, T], each after its first token: float32 [B]."""
        logits, after = self(image, text).logits[:, :-1].astype(jnp.float32), text[:, 1:]
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), after[..., None], axis=-1)[..., 0]
        return jnp.sum(chosen, axis=1, where=after != self.config.text.pad)

    def attended(self, image: Array, text: Array) -> Array:
        """What the decoder reads of the image at each token: shares, [B, T, rows, columns].

        They are those of the patches, means over layers and heads, and through the pooler where
        there is one. The collection READ must be mutable.
        """
        self(image, text)
        cross, v = self.decoder.variables[READ]["layers"]["cross"], self.config.vision
        read = jnp.mean(cross.get("attention", cross)["probabilities"][0], axis=(0, 2))  # BTS
        if v.attentional:
            pooler = self.image.variables[READ]["pooler"]["attention"]["probabilities"][0]
            pooled = jnp.mean(pooler, axis=1)[:, -read.shape[-1] :]  # without a class query
            read = jnp.einsum("BTS,BSL->BTL", read, pooled)
        read = read[..., -v.grid[0] * v.grid[1] :]  # without the class token
        read = read / jnp.sum(read, axis=-1, keepdims=True)
        return read.reshape(*read.shape[:2], *v.grid)

    def _logits(self, x: Array) -> Array:
        tied = self.config.decoder.tie_embeddings
        return self.text.tokens.logits(x) if tied else self.head(x)


def _paper(layers: int, decoder_layers: int, width: int, heads: int, hidden: int, text: int):
    """A column of the paper's table 1; what it leaves open is marked [A] in the documentation."""
    vision = TransformerConfig(width, layers, heads, hidden)
    unimodal = TransformerConfig(width, decoder_layers, heads, text, initial="normal")
    multimodal = TransformerConfig(width, decoder_layers, heads, text)
    return CocaConfig(
        vision=VisionConfig(
            (288, 288),
            18,
            vision,
            class_token=False,
            input_norm=False,
            pooling="cascade",
            pooler=PoolerConfig(heads=heads),
        ),
        text=TextConfig(64000, 64, unimodal, mask="correct"),
        decoder=DecoderConfig(multimodal, 64000),
        embedding=width,
    )


def _open_clip(size: int, patch: int, vision: tuple, text: tuple, embedding: int, **options):
    """An open_clip preset: `vision` and `text` are (width, layers); heads are 64 wide."""

    def tower(width, layers, **rest):
        return TransformerConfig(width, layers, width // 64, 4 * width, **rest)

    vocabulary = options.pop("vocabulary", 49408)
    return CocaConfig(
        vision=VisionConfig((size, size), patch, tower(*vision), **options),
        text=TextConfig(vocabulary, 76, tower(*text, initial="normal"), mask="legacy"),
        decoder=DecoderConfig(tower(*text), vocabulary, "separate_mlp"),
        embedding=embedding,
    )


def _roberta() -> CocaConfig:
    """open_clip's preset whose decoder has fewer columns than its text tower has tokens."""
    vision = TransformerConfig(768, 12, 12, 3072)
    return CocaConfig(
        vision=VisionConfig((224, 224), 32, vision),
        text=BertTextConfig(projection="linear"),
        decoder=DecoderConfig(TransformerConfig(768, 12, 8, 3072), 49408, "separate_mlp"),
        embedding=512,
    )


def _tiny() -> CocaConfig:
    """A model of the paper's form for laptops, tests and the demo."""
    width, heads, hidden = 128, 4, 384
    vision = TransformerConfig(width, 4, heads, hidden)
    unimodal = TransformerConfig(width, 2, heads, hidden, initial="normal")
    return CocaConfig(
        vision=VisionConfig(
            (64, 64),
            8,
            vision,
            class_token=False,
            input_norm=False,
            pooling="cascade",
            pooler=PoolerConfig(queries=16, heads=heads),
        ),
        text=TextConfig(1024, 48, unimodal, mask="correct"),
        decoder=DecoderConfig(TransformerConfig(width, 2, heads, hidden), 1024),
        embedding=width,
    )


_QUERIES = {"pooling": "shared_queries"}

CONFIGS = {
    "tiny": _tiny(),
    "base": _paper(12, 12, 768, 12, 3072, 3072),
    "large": _paper(24, 12, 1024, 16, 4096, 4096),
    "g": _paper(40, 18, 1408, 16, 6144, 5632),
    "coca_base": _open_clip(288, 18, (768, 12), (768, 12), 512, vocabulary=64000),
    "coca_ViT-B-32": _open_clip(224, 32, (768, 12), (512, 12), 512, **_QUERIES),
    "coca_ViT-L-14": _open_clip(224, 14, (1024, 24), (768, 12), 768, **_QUERIES),
    "coca_roberta-ViT-B-32": _roberta(),
}
