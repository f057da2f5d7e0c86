"""CoCa's training: a contrastive loss between embeddings, a captioning loss on the decoder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from vlx.config import build, from_preset, square
from vlx.errors import UserError
from vlx.layers.pixels import normalise
from vlx.layers.text import TextConfig
from vlx.models.clip import Scale
from vlx.models.coca import CONFIGS, Coca, CocaConfig
from vlx.objectives import streaming
from vlx.objectives.captioning import captioning, next_words
from vlx.objectives.contrastive import contrastive_by_rank
from vlx.objectives.cross_entropy import cross_entropy
from vlx.objectives.ranks import by_rank
from vlx.tasks.task import LayerGroups, Outputs, Task

Array = jax.Array

# open_clip's two rules, as patterns for `optimizer.no_decay`
_SMALL = r"(.*/)?(bias|scale|class_token|logit_scale|logit_bias)"
NO_DECAY = {
    "release": (_SMALL,),
    "main": (_SMALL, r"(.*/)?positions"),
}


@dataclass(frozen=True)
class CocaLoss:
    """Weights of the terms and their forms."""

    contrastive: float = 1.0
    captioning: float = 2.0
    form: str = "softmax"  # or "sigmoid" (SigLIP; needs model.logit_bias)
    directions: str = "mean"  # of image to text and text to image; "sum" is the paper's
    chunk: int = 512  # texts that are compared with a device's images at a time
    exchange: str = "gather"  # of texts between devices; "ring" holds fewer of them
    label_smoothing: float = 0.0  # of captioning
    ranks: int = 1  # > 1 repeats what open_clip computes on that many processes
    negatives: str = "global"  # with ranks: "local" compares within a rank
    local_loss: bool = False  # with ranks: open_clip's flag of this name
    gather_with_grad: bool = False  # with ranks: open_clip's flag of this name
    caption_reduction: str = "per_rank"  # with ranks; "global" weighs all words alike

    def __post_init__(self):
        for name, allowed in (
            ("form", ("softmax", "sigmoid")),
            ("directions", ("mean", "sum")),
            ("exchange", streaming.EXCHANGES),
            ("negatives", ("global", "local")),
            ("caption_reduction", ("per_rank", "global")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r}: choose from {allowed}.")
        if self.chunk < 1:
            raise ValueError(f"chunk={self.chunk} must be at least 1.")
        if not (self.contrastive or self.captioning):
            raise ValueError("contrastive and captioning are both 0; the paper's are 1 and 2.")
        if self.negatives == "local" and self.ranks == 1:
            raise ValueError("negatives='local' needs ranks > 1: a rank is what is local.")
        if self.form == "sigmoid" and self.negatives == "local":
            raise ValueError("the sigmoid loss has no local negatives.")


# Numbers of a model that live in several places, or deep, and are often changed.
SHORT: dict[str, Callable[[Any], dict]] = {
    "image_size": lambda x: {"vision": square(x)},
    "vocabulary": lambda x: {"text": {"vocabulary": x}, "decoder": {"vocabulary": x}},
    "text_length": lambda x: {"text": {"length": x}},
}


def configure(given: Mapping[str, Any]) -> CocaConfig:
    """A model config from a preset and what differs from it.

    Beside the fields of CocaConfig it may hold `preset` and the names of SHORT.
    """
    return from_preset(CONFIGS, given, SHORT)


@dataclass(frozen=True)
class CocaTask(Task):
    """Contrastive and captioning losses on image-text pairs (paper, equation 4)."""

    config: CocaConfig
    loss: CocaLoss
    pixels: str = "clip"  # statistics of the pixels, see vlx/layers/pixels.py

    fields = ("image", "text", "text_mask", "weight")
    evaluators = ("zero_shot", "retrieval")
    rngs = ("dropout", "patches")
    layer_groups: ClassVar[dict[str, LayerGroups]] = {
        "image": LayerGroups(
            embeddings=r"image/(patches/.*|class_token|positions|input_norm/.*)",
            stack=r"image/encoder/layers/.*",
            last=r"image/norm/.*",
            head=r"image/projection/.*",
        ),
        "text": LayerGroups(
            embeddings=r"text/(tokens/.*|class_token|positions)",
            stack=r"text/encoder/layers/.*",
            last=r"text/norm/.*",
            head=r"text/projection/.*",
        ),
    }

    @classmethod
    def build(cls, model: Mapping[str, Any], loss: Mapping[str, Any]) -> "CocaTask":
        """The task of a run's `model` and `loss` sections."""
        config, loss = configure(model), build(CocaLoss, loss, "config.loss")
        if loss.form == "sigmoid" and loss.contrastive and config.logit_bias is None:
            raise UserError(
                "config.loss.form='sigmoid' needs a bias: set config.model.logit_bias=-10.0."
            )
        return cls(config, loss)

    @property
    def image_size(self) -> tuple[int, int]:
        return self.config.vision.image_size

    @property
    def text_length(self) -> int:
        return self.config.text.length

    @property
    def vocabulary(self) -> int:
        return min(self.config.text.vocabulary, self.config.decoder.vocabulary)

    @cached_property
    def model(self) -> Coca:
        return Coca(self.config)

    @property
    def weights(self) -> dict[str, float]:
        return {"contrastive": self.loss.contrastive, "captioning": self.loss.captioning}

    def init(self, rng: Array):
        c = self.config
        image = jnp.zeros((1, *c.vision.image_size, 3))
        text = jnp.zeros((1, c.text.length), jnp.int32)
        return self.model.init(rng, image, text)["params"], {}

    @property
    def left_out(self) -> tuple[str, ...]:
        """A term of weight 0 is not computed; what only it reads has no part in the stage."""
        loss, vision, text = self.loss, self.config.vision, self.config.text
        patterns = [] if loss.form == "sigmoid" and loss.contrastive else ["logit_bias"]
        if not loss.contrastive:
            patterns += ["logit_scale", r"(image|text)/projection/.*", r"text/hidden/.*"]
            patterns += [r"image/contrastive_(pooler|norm)/.*"]
            if isinstance(text, TextConfig) and not text.norm_tokens:
                patterns.append(r"text/norm/.*")
            if vision.norm_after_pooling and not vision.attentional:
                patterns.append(r"image/norm/.*")
        if not loss.captioning:
            patterns += [r"decoder/.*", r"head/.*"]
            if vision.pooling == "parallel":
                patterns.append(r"image/pooler/.*")
                if vision.pooler.norm_after:
                    patterns.append(r"image/norm/.*")
        return tuple(patterns)

    def embed(self, params, buffers, batch, step, rngs) -> Outputs:
        image = normalise(batch["image"], self.pixels)
        out = self.model.apply({"params": params}, image, batch["text"], rngs=rngs)
        coupled, terms = {"weight": batch["weight"]}, {}
        if self.loss.contrastive:
            coupled |= {"image": out.image, "text": out.text}
        label, words = next_words(batch["text"], batch["text_mask"] * batch["weight"][:, None])
        smoothing = self.loss.label_smoothing
        if self.loss.captioning and self._by_rank:
            losses = cross_entropy(out.logits, label, smoothing) * words
            coupled |= {"caption": jnp.sum(losses, axis=1), "words": jnp.sum(words, axis=1)}
        elif self.loss.captioning:
            terms["captioning"] = captioning(out.logits, label, words, smoothing)
        return Outputs(coupled=coupled, terms=terms)

    def couple(self, params, buffers, coupled, step, rng):
        terms, loss = {}, self.loss
        if loss.contrastive:
            scale = self.model.apply({"params": params}, method="scale")
            terms["contrastive"] = self._contrastive(coupled, scale)
        if loss.captioning and self._by_rank:
            total, count = (
                jnp.sum(by_rank(coupled[name], loss.ranks), axis=1) for name in ("caption", "words")
            )
            terms["captioning"] = jnp.sum(total / jnp.where(count > 0, count, 1)), loss.ranks
        return terms, {}

    @property
    def _by_rank(self) -> bool:
        return self.loss.ranks > 1 and self.loss.caption_reduction == "per_rank"

    def _contrastive(self, coupled, scale: Scale):
        image, text, weight = coupled["image"], coupled["text"], coupled["weight"]
        loss = self.loss
        how = {"chunk": loss.chunk, "exchange": loss.exchange}
        if loss.form == "sigmoid":  # open_clip's exchanges between ranks all give the global loss
            return streaming.sigmoid(image, text, scale.scale, weight, scale.bias, **how)
        if loss.ranks == 1:
            return streaming.contrastive(image, text, scale.scale, weight, loss.directions, **how)
        losses = contrastive_by_rank(
            image,
            text,
            scale.scale,
            weight,
            directions=loss.directions,
            ranks=loss.ranks,
            negatives=loss.negatives,
            local_loss=loss.local_loss,
            gather_with_grad=loss.gather_with_grad,
        )
        return jnp.sum(losses), loss.ranks
