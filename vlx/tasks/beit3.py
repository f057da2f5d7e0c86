"""What BEiT-3 is trained for after its pre-training: contrast, captions, answers, classes.

A stage is what its losses say: `contrastive` alone is the intermediate tuning and retrieval,
`captions` are written word by word, `answers` and `truth` are VQA and NLVR2, `classes` ImageNet.
Pre-training is `vlx/tasks/beit3_pretraining.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import jax

from vlx.config import build, from_preset, square
from vlx.errors import UserError
from vlx.layers.pixels import normalise
from vlx.models.beit3 import CONFIGS, Beit3, Beit3Config, fresh_params
from vlx.objectives import streaming
from vlx.objectives.masked_captions import smoothed_divergence, without_worst
from vlx.objectives.matching import answers, matching
from vlx.objectives.mixing import Mixing
from vlx.tasks.classes import class_term, mixed
from vlx.tasks.task import LayerGroups, Outputs, Task

Array = jax.Array

# The official rule, as patterns for `optimizer.no_decay`: texts' positions do decay.
NO_DECAY = (r".*(bias|scale)", r"image/(class_token|positions)")
EMBEDDINGS = r"(image|text)/.*"


@dataclass(frozen=True)
class Beit3Loss:
    """Weights of the terms and their forms."""

    contrastive: float = 0.0
    captions: float = 0.0  # masked words that see the image and the words before them
    answers: float = 0.0  # to questions about an image, with a score for each answer
    truth: float = 0.0  # of statements about two images
    classes: float = 0.0
    label_smoothing: float = 0.1  # of captions and classes
    mixing: Mixing = Mixing()  # of classes: what training does to pictures and labels
    drop_worst: float = 0.2  # captions: this part of the masked words, those of the largest loss
    drop_after: int = 12_000  # steps
    chunk: int = 512  # contrastive: texts that are compared with a device's images at a time
    exchange: str = "gather"  # of texts between devices; "ring" holds fewer of them
    ranks: int = 1  # > 1 repeats what the official code computes on that many processes

    def __post_init__(self):
        weights = {name: getattr(self, name) for name in TERMS}
        if not any(weights.values()):
            raise ValueError(f"all weights are 0; give one of {', '.join(TERMS)} a weight.")
        if sum(map(bool, weights.values())) > 1:
            given = ", ".join(name for name, weight in weights.items() if weight)
            raise ValueError(f"the losses {given} do not go together; give one of them a weight.")
        if self.exchange not in streaming.EXCHANGES:
            raise ValueError(f"exchange={self.exchange!r}: choose from {streaming.EXCHANGES}.")
        if not (0 <= self.drop_worst < 1 and 0 <= self.label_smoothing < 1):
            raise ValueError("drop_worst and label_smoothing must be 0 or more, and less than 1.")

    @property
    def term(self) -> str:
        """The only one that counts."""
        return next(name for name in TERMS if getattr(self, name))


# Each term and the fields of a batch that it reads beside `weight`.
TERMS = {
    "contrastive": ("image", "text", "text_mask"),
    "captions": ("image", "text", "text_mask", "masked_text", "masked"),
    "answers": ("image", "text", "text_mask", "answer_scores"),
    "truth": ("image", "second_image", "text", "text_mask", "label"),
    "classes": ("image", "label"),
}
EVALUATORS = {
    "contrastive": "retrieval",
    "captions": "captioning",
    "answers": "vqa",
    "truth": "statements",
    "classes": "classification",
}


def configure(given: Mapping[str, Any], heads: tuple[str, ...]) -> Beit3Config:
    """A model config from a preset and what differs from it.

    Beside the fields of Beit3Config it may hold `preset`; `image_size` may be one number. Without
    `heads` the model has those of its task, and a last norm where they have none.
    """
    if "preset" in given:
        given = {"heads": heads, "final_norm": None, **given}
    config = from_preset(CONFIGS, given, {"image_size": square})
    if missing := set(heads) - set(config.heads):
        raise UserError(
            f"config.loss needs the heads {', '.join(sorted(missing))}; add them to "
            "config.model.heads."
        )
    return config


class OfBeit3(Task):
    """What all tasks with this model have in common."""

    config: Beit3Config
    pixels = "inception"

    @cached_property
    def model(self) -> Beit3:
        return Beit3(self.config)

    def init(self, rng: Array):
        return fresh_params(self.model, rng), {}


@dataclass(frozen=True)
class Beit3Task(OfBeit3):
    """The loss of one kind of fine-tuning."""

    config: Beit3Config
    loss: Beit3Loss

    layer_groups: ClassVar[dict[str, LayerGroups]] = {
        "all": LayerGroups(
            embeddings=EMBEDDINGS,
            stack=r"encoder/(lower|upper)/layers/.*",
            last=r"(?!)",  # what comes after the layers shares the head's rate
            head=r"(?!encoder/|image/|text/).*",
        ),
    }

    @classmethod
    def build(cls, model: Mapping[str, Any], loss: Mapping[str, Any]) -> "Beit3Task":
        """The task of a run's `model` and `loss` sections."""
        loss = build(Beit3Loss, loss, "config.loss")
        return cls(configure(model, (loss.term,)), loss)

    @property
    def weights(self) -> dict[str, float]:
        return {self.loss.term: getattr(self.loss, self.loss.term)}

    @property
    def fields(self) -> tuple[str, ...]:
        return (*TERMS[self.loss.term], "weight")

    @property
    def evaluators(self) -> tuple[str, ...]:
        return (EVALUATORS[self.loss.term],)

    @property
    def pixels(self) -> str:
        return "imagenet" if self.loss.classes else "inception"

    @property
    def text_length(self) -> int:
        return 0 if self.loss.classes else self.config.text_length

    @property
    def left_out(self) -> tuple[str, ...]:
        """What no term reads has no part in the stage."""
        w, own = self.loss, r"(pooler_norm|pooler|\w+_head|\w+_norm|\w+_projection|logit_scale)"
        heads = {
            "contrastive": r"(?!(\w+_projection|logit_scale))",
            "captions": r"(?!word_head)",
            "answers": r"(?!(pooler|answer_head))",
            "truth": r"(?!truth_)",
            "classes": r"(?!class_)",
        }
        patterns = [f"{heads[w.term]}{own}(/.*)?", r"image/mask_token"]
        if w.classes:
            patterns += [r"text/.*", r"(encoder/.*/|norm/)(text|pair)/.*"]
        if w.contrastive:
            patterns.append(r"encoder/.*/pair/.*")
        elif self.config.encoder.pair_layers and not w.classes:
            patterns.append(r"encoder/upper/layers/(image|text)/.*")
        return tuple(patterns)

    def prepare(self, params, buffers, batch, step, rng, constants):
        w = self.loss
        if not w.classes:
            return batch, buffers
        how = w.mixing, self.pixels, self.config.classes, w.label_smoothing
        return mixed(batch, rng, *how), buffers

    def embed(self, params, buffers, batch, step, rngs) -> Outputs:
        w, weight = self.loss, batch["weight"]

        def apply(method, *arguments):
            return self.model.apply({"params": params}, *arguments, method=method, rngs=rngs)

        image = normalise(batch["image"], self.pixels)
        if w.classes:
            term = class_term(apply("classify", image), batch, w.label_smoothing)
            return Outputs(terms={"classes": term})
        mask = batch["text_mask"] > 0
        if w.contrastive:
            vectors = {
                "image": apply("encode_image", image),
                "text": apply("encode_text", batch["text"], mask),
            }
            return Outputs(coupled={**vectors, "weight": weight})
        if w.captions:
            logits = apply("caption_logits", image, batch["masked_text"], mask)
            losses = smoothed_divergence(logits, batch["text"], w.label_smoothing)
            return Outputs(coupled={"losses": losses, "counted": batch["masked"] * weight[:, None]})
        second = normalise(batch["second_image"], self.pixels) if w.truth else None
        logits = apply("answer", image, batch["text"], second, mask)
        if w.truth:
            return Outputs(terms={"truth": matching(logits, batch["label"], weight)})
        return Outputs(terms={"answers": answers(logits, batch["answer_scores"], weight)})

    def couple(self, params, buffers, coupled, step, rng):
        w = self.loss
        if w.contrastive:
            (scale,) = self.model.apply({"params": params}, method="scales")
            vectors = coupled["image"], coupled["text"]
            how = {"chunk": w.chunk, "exchange": w.exchange}
            term = streaming.contrastive(*vectors, scale, coupled["weight"], **how)
            return {"contrastive": term}, {}
        if w.captions:
            dropping = step > w.drop_after
            losses = coupled["losses"], coupled["counted"]
            term = without_worst(*losses, w.drop_worst, dropping, w.ranks)
            return {"captions": term}, {}
        return {}, {}
