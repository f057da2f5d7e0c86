"""BEiT's training: the codes of hidden patches, or classes.

The codes come from a visual tokenizer, which is a constant of the run: `loss.tokenizer` names its
folder or file. It looks at `target_image`, its own view of what the model sees in part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from vlx.config import build, from_preset, square
from vlx.errors import UserError
from vlx.layers.pixels import normalise
from vlx.models.beit import CONFIGS, Beit, BeitConfig, fresh_params
from vlx.objectives.cross_entropy import cross_entropy
from vlx.objectives.matching import matching
from vlx.tasks.task import LayerGroups, Outputs, Task

Array = jax.Array

# The official rule, as patterns for `optimizer.no_decay`: all vectors but the mask token.
NO_DECAY = (r".*(bias|scale)", r"image/(class_token|positions)")


@dataclass(frozen=True)
class BeitLoss:
    """Which of the two it is."""

    codes: float = 0.0
    classes: float = 0.0
    label_smoothing: float = 0.0  # of classes
    tokenizer: str = ""  # codes: a trained visual tokenizer, any folder or file that vlx reads

    def __post_init__(self):
        if bool(self.codes) == bool(self.classes):
            raise ValueError("give codes or classes a weight, and not both.")


def configure(given: Mapping[str, Any]) -> BeitConfig:
    """A model config from a preset and what differs from it; `image_size` may be one number."""
    return from_preset(CONFIGS, given, {"image_size": square})


@dataclass(frozen=True)
class BeitTask(Task):
    """Cross-entropy of codes where patches are hidden, or of labels."""

    config: BeitConfig
    loss: BeitLoss

    text_length = 0
    vocabulary = 0
    layer_groups: ClassVar[dict[str, LayerGroups]] = {
        "image": LayerGroups(
            embeddings=r"image/.*",
            stack=r"encoder/lower/layers/.*",
            last=r"(?!)",  # what comes after the layers shares the head's rate
            head=r"(class_norm|norm|class_head|code_head|relative)/.*",
        ),
    }

    @classmethod
    def build(cls, model: Mapping[str, Any], loss: Mapping[str, Any]) -> "BeitTask":
        """The task of a run's `model` and `loss` sections."""
        config, loss = configure(model), build(BeitLoss, loss, "config.loss")
        for name in ("codes", "classes"):
            if getattr(loss, name) and not getattr(config, name):
                raise UserError(f"config.loss.{name} needs a model with config.model.{name}.")
        return cls(config, loss)

    @property
    def weights(self) -> dict[str, float]:
        return {"codes": self.loss.codes} if self.loss.codes else {"classes": self.loss.classes}

    @property
    def fields(self) -> tuple[str, ...]:
        if self.loss.codes:
            return "image", "patch_mask", "target_image", "weight"
        return "image", "label", "weight"

    @property
    def evaluators(self) -> tuple[str, ...]:
        return ("losses",) if self.loss.codes else ("classification",)

    @property
    def constants(self) -> dict[str, str]:
        return {"tokenizer": self.loss.tokenizer} if self.loss.codes else {}

    @property
    def pixels(self) -> str:
        return self.config.pixels

    @property
    def image_size(self) -> tuple[int, int]:
        return self.config.image_size

    @property
    def grid(self) -> tuple[int, int]:
        return self.config.grid

    @cached_property
    def model(self) -> Beit:
        return Beit(self.config)

    def init(self, rng: Array):
        return fresh_params(self.model, rng), {}

    def prepare(self, params, buffers, batch, step, rng, constants):
        if not self.loss.codes or "codes" in batch:
            return batch, buffers
        codes = constants["tokenizer"]("tokens", batch["target_image"])
        if codes.shape[1] != batch["patch_mask"].shape[1]:
            raise UserError(
                f"The tokenizer has {codes.shape[1]} codes for an image of "
                f"{batch['target_image'].shape[1]} pixels, the model {batch['patch_mask'].shape[1]}"
                " patches; set data.target_size so that they are equal."
            )
        return {**batch, "codes": codes}, buffers

    def embed(self, params, buffers, batch, step, rngs) -> Outputs:
        def apply(method, *arguments):
            image = normalise(batch["image"], self.pixels)
            return self.model.apply({"params": params}, image, *arguments, method=method, rngs=rngs)

        weight = batch["weight"]
        if self.loss.classes:
            logits, smoothing = apply("classify"), self.loss.label_smoothing
            terms = {"classes": matching(logits, batch["label"], weight, smoothing)}
            return Outputs(terms=terms)
        counted = batch["patch_mask"] * weight[:, None]
        losses = cross_entropy(apply("code_logits", batch["patch_mask"]), batch["codes"])
        return Outputs(terms={"codes": (jnp.sum(losses * counted), jnp.sum(counted))})
