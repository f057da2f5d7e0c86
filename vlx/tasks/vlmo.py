"""VLMo's stages on texts and on image-text pairs, and its fine-tuning.

A stage is what its losses say: `text_words` alone is the second stage, `contrastive`, `matching`
and `words` together are the third; `answers`, `truth` and `contrastive` are fine-tuning. The first
stage, on images alone, is `vlx/tasks/beit.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from vlx.config import build, from_preset, square
from vlx.errors import UserError
from vlx.layers.pixels import normalise
from vlx.models.vlmo import CONFIGS, Vlmo, VlmoConfig
from vlx.objectives import streaming
from vlx.objectives.cross_entropy import cross_entropy
from vlx.objectives.matching import answers, matching
from vlx.objectives.negatives import hard_negatives
from vlx.objectives.ranks import by_rank, own_share
from vlx.tasks.task import Choice, Outputs, Task

Array = jax.Array

# The official rule, as patterns for `optimizer.no_decay`: the experts' norms do decay.
NO_DECAY = (
    r".*bias",
    r"(.*/)?relative/embedding",
    r"(.*/)?attention_norm/scale",
    r"(text/|word_head/)?norm/scale",
)
# What the second stage keeps as it is, as patterns for `freeze`.
FROZEN_BY_TEXTS = (
    r"encoder/.*/(attention|attention_norm|attention_scale|mlp_scale|image)/.*",
    r"image/.*",
    r"pooler/.*",
)


@dataclass(frozen=True)
class VlmoLoss:
    """Weights of the terms and their forms."""

    contrastive: float = 0.0  # of images and texts, each alone
    matching: float = 0.0  # of pairs and of hard negatives from the whole batch
    words: float = 0.0  # masked, of pairs; the official weight beside the others is 0.25
    text_words: float = 0.0  # masked, of texts alone
    answers: float = 0.0  # to questions about an image, with a score for each answer
    truth: float = 0.0  # of statements about two images
    pair_branch: bool = True  # contrastive: half of the loss by the experts for pairs
    negative_groups: int = 1  # matching: > 1 draws within so many equal parts of the batch
    chunk: int = 512  # texts that are compared with a device's images at a time
    exchange: str = "gather"  # of texts between devices; "ring" holds fewer of them
    ranks: int = 1  # > 1 repeats what the official code computes on that many processes

    def __post_init__(self):
        weights = {name: getattr(self, name) for name in TERMS}
        if not any(weights.values()):
            raise ValueError(f"all weights are 0; give one of {', '.join(TERMS)} a weight.")
        if self.exchange not in streaming.EXCHANGES:
            raise ValueError(f"exchange={self.exchange!r}: choose from {streaming.EXCHANGES}.")
        if self.chunk < 1:
            raise ValueError(f"chunk={self.chunk} must be at least 1.")

    @property
    def heads(self) -> tuple[str, ...]:
        """What the model must have."""
        wanted = {
            "contrastive": self.contrastive or self.matching,
            "pair_contrastive": self.contrastive and self.pair_branch,
            "matching": self.matching,
            "words": self.words or self.text_words,
            "answers": self.answers,
            "truth": self.truth,
        }
        return tuple(name for name, weight in wanted.items() if weight)


# Each term and the fields of a batch that it reads beside `weight`.
TERMS = {
    "contrastive": ("image", "text"),
    "matching": ("image", "text", "text_mask"),
    "words": ("image", "text", "text_mask", "masked_text", "masked"),
    "text_words": ("text", "text_mask", "masked_text", "masked"),
    "answers": ("image", "text", "answer_scores"),
    "truth": ("image", "second_image", "text", "label"),
}
EVALUATORS = {
    "contrastive": ("retrieval",),
    "words": ("losses",),
    "text_words": ("losses",),
    "answers": ("vqa",),
    "truth": ("statements",),
}


def configure(given: Mapping[str, Any], loss: VlmoLoss) -> VlmoConfig:
    """A model config from a preset and what differs from it.

    Beside the fields of VlmoConfig it may hold `preset`; `image_size` may be one number. Without
    `heads` the model has those that the losses need.
    """
    if "preset" in given:
        given = {"heads": loss.heads, **given}
    return from_preset(CONFIGS, given, {"image_size": square})


@dataclass(frozen=True)
class VlmoTask(Task):
    """The losses of a stage, on batches that hold the fields that they read."""

    config: VlmoConfig
    loss: VlmoLoss
    pixels: str = "inception"  # statistics of the pixels, see vlx/layers/pixels.py

    @classmethod
    def build(cls, model: Mapping[str, Any], loss: Mapping[str, Any]) -> "VlmoTask":
        """The task of a run's `model` and `loss` sections."""
        loss = build(VlmoLoss, loss, "config.loss")
        config = configure(model, loss)
        missing = [name for name in loss.heads if name not in config.heads]
        if missing:
            raise UserError(
                f"config.loss needs the heads {', '.join(missing)}; add them to config.model.heads."
            )
        return cls(config, loss)

    @property
    def weights(self) -> dict[str, float]:
        return {name: getattr(self.loss, name) for name in TERMS if getattr(self.loss, name)}

    @property
    def fields(self) -> tuple[str, ...]:
        names = [field for term in self.weights for field in TERMS[term]]
        if self.config.truth_images == 1:
            names = [name for name in names if name != "second_image"]
        return (*dict.fromkeys(names), "weight")

    @property
    def evaluators(self) -> tuple[str, ...]:
        return tuple(name for term in self.weights for name in EVALUATORS.get(term, ()))

    @cached_property
    def model(self) -> Vlmo:
        return Vlmo(self.config)

    def init(self, rng: Array):
        c = self.config
        image = jnp.zeros((1, *c.image_size, 3))
        text = jnp.zeros((1, c.text_length), jnp.int32)
        return self.model.init(rng, image, text)["params"], {}

    @property
    def left_out(self) -> tuple[str, ...]:
        """What no term reads has no part in the stage."""
        w, c = self.loss, self.config
        fused = w.matching or w.words or w.answers or w.truth
        pooled = w.matching or w.answers or w.truth
        branch = w.contrastive and w.pair_branch
        taking_part = {
            r"text/positions/.*": not c.is_relative,
            r"image/.*": fused or w.contrastive,
            r"encoder/lower/layers/image/.*": fused or w.contrastive,
            r"encoder/upper/layers/image/.*": w.contrastive,
            r"encoder/upper/layers/text/.*": w.contrastive or w.text_words,
            r"encoder/upper/layers/pair/.*": fused or branch,
            r"pooler/.*": pooled,
            r"(logit_scale|(image|text)_projection/.*)": w.contrastive,
            r"pair_(logit_scale|(image|text)_projection/.*)": branch,
            r"match_head/.*": w.matching,
            r"word_head/.*": w.words or w.text_words,
            r"answer_head/.*": w.answers,
            r"truth_head/.*": w.truth,
        }
        return tuple(pattern for pattern, takes_part in taking_part.items() if not takes_part)

    def embed(self, params, buffers, batch, step, rngs) -> Outputs:
        w, weight = self.loss, batch["weight"]
        apply = _bound(self.model, params, rngs)
        image = normalise(batch["image"], self.pixels) if "image" in batch else None
        coupled, terms = {"weight": weight}, {}
        if w.contrastive or w.matching:
            coupled |= self._vectors(apply, image, batch["text"])
        for name, of in (("words", image), ("text_words", None)):
            if name in self.weights:
                logits = apply("words", of, batch["masked_text"], batch["text_mask"])
                counted = batch["masked"] * weight[:, None]
                losses = cross_entropy(logits, batch["text"]) * counted
                coupled |= {name: jnp.sum(losses, axis=1), f"{name}_count": jnp.sum(counted, 1)}
                if w.ranks == 1:
                    terms[name] = jnp.sum(coupled.pop(name)), jnp.sum(coupled.pop(f"{name}_count"))
        if w.answers:
            logits = apply("answer", image, batch["text"])
            terms["answers"] = answers(logits, batch["answer_scores"], weight)
        if w.truth:
            images = [image]
            if self.config.truth_images == 2:
                images.append(normalise(batch["second_image"], self.pixels))
            logits = apply("answer", images[0], batch["text"], *images[1:])
            terms["truth"] = matching(logits, batch["label"], weight)
        return Outputs(coupled=coupled, terms=terms)

    def _vectors(self, apply, image: Array, text: Array) -> dict[str, Array]:
        """What images and texts are compared by; without gradient where it only finds negatives."""
        outputs = {"image": apply("of_image", image), "text": apply("of_text", text)}
        if not self.loss.contrastive:
            return {kind: jax.lax.stop_gradient(out.vector) for kind, out in outputs.items()}
        vectors = {kind: out.vector for kind, out in outputs.items()}
        if self.loss.pair_branch:
            vectors |= {f"pair_{kind}": out.pair_vector for kind, out in outputs.items()}
        return vectors

    def couple(self, params, buffers, coupled, step, rng):
        w, terms, choices = self.loss, {}, {}
        if w.contrastive or w.matching:
            scales = _bound(self.model, params)("scales")
        if w.contrastive:
            terms["contrastive"] = self._contrastive(coupled, scales)
        if w.matching:
            choices = self._negatives(coupled, scales[0], rng)
        for name in ("words", "text_words"):
            if name in coupled:  # by rank
                total, count = (
                    jnp.sum(by_rank(coupled[x], w.ranks), axis=1) for x in (name, f"{name}_count")
                )
                terms[name] = jnp.sum(total / jnp.where(count > 0, count, 1)), w.ranks
        return terms, choices

    def _contrastive(self, coupled, scales):
        """The mean over both branches."""
        w, total = self.loss, 0.0
        prefixes = ("", "pair_") if w.pair_branch else ("",)
        for prefix, scale in zip(prefixes, scales, strict=False):
            image, text = (own_share(coupled[f"{prefix}{x}"], w.ranks) for x in ("image", "text"))
            loss, count = streaming.contrastive(
                image, text, scale, coupled["weight"], chunk=w.chunk, exchange=w.exchange
            )
            total = total + loss / len(prefixes)
        return total, count

    def _negatives(self, coupled, scale, rng) -> dict[str, Choice]:
        """For each text an image and for each image a text, which belong to others."""
        image, text, weight = coupled["image"], coupled["text"], coupled["weight"]
        if len(weight) < 2:
            raise UserError("config.loss.matching needs negatives: set batch.size=2 or more.")
        keys, how = jax.random.split(rng), (self.loss.chunk, self.loss.negative_groups)
        images = hard_negatives(keys[0], text, image, scale, weight, *how)
        texts = hard_negatives(keys[1], image, text, scale, weight, *how)
        return {"image": Choice(images, ("image",)), "text": Choice(texts, ("text", "text_mask"))}

    def finish(self, params, buffers, batch, chosen, step, rngs) -> Outputs:
        if not self.loss.matching:
            return Outputs()

        def threefold(*variants):  # row by row, so that rows stay on their devices
            return jnp.stack(variants, axis=1).reshape(-1, *variants[0].shape[1:])

        image, other = batch["image"], chosen["image"]["image"]
        texts = [threefold(batch[x], batch[x], chosen["text"][x]) for x in ("text", "text_mask")]
        images = normalise(threefold(image, other, image), self.pixels)
        logits = _bound(self.model, params, rngs)("match_logits", images, *texts)
        label = jnp.tile(jnp.asarray([1, 0, 0]), len(image))
        return Outputs(terms={"matching": matching(logits, label, jnp.repeat(batch["weight"], 3))})


def _bound(model: Vlmo, params, rngs=None):
    """Calls methods of the model by name."""

    def apply(method: str, *arguments):
        return model.apply({"params": params}, *arguments, method=method, rngs=rngs)

    return apply
