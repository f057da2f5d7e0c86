"""BEiT's training: the codes of hidden patches, or classes, perhaps of mixed pictures.

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
from vlx.objectives.mixing import Mixing
from vlx.tasks.classes import class_term, mixed
from vlx.tasks.codes import with_codes
from vlx.tasks.task import LayerGroups, Outputs, Task

Array = jax.Array

# The official rule, as patterns for `optimizer.no_decay`: all vectors but the mask token.
NO_DECAY = (r".*(bias|scale)", r"image/(class_token|positions)")


@dataclass(frozen=True)
class BeitLoss:
    """Which of the two it is."""

    codes: float = 0.0  # the same for each of the predictions that a model makes of them
    classes: float = 0.0
    label_smoothing: float = 0.0  # of classes
    mixing: Mixing = Mixing()  # of classes: what training does to pictures and labels
    tokenizer: str = ""  # codes: a trained visual tokenizer, any folder or file that vlx reads

    def __post_init__(self):
        if bool(self.codes) == bool(self.classes):
            raise ValueError("give codes or classes a weight, and not both.")
        if self.codes and self.mixing != Mixing():
            raise ValueError("mixing: only pictures of classes can be mixed.")


def configure(given: Mapping[str, Any]) -> BeitConfig:
    """A model config from a preset and what differs from it; `image_size` may be one number."""
    return from_preset(CONFIGS, given, {"image_size": square})


@dataclass(frozen=True)
class BeitTask(Task):
    """Cross-entropy of codes where patches are hidden, or of labels."""

    config: BeitConfig
    loss: BeitLoss

    layer_groups: ClassVar[dict[str, LayerGroups]] = {
        "image": LayerGroups(
            embeddings=r"image/.*",
            stack=r"encoder/(lower|upper)/layers/.*",
            last=r"(?!)",  # what comes after the layers shares the head's rate
            head=r"(class_norm|norm|class_head|code_head|relative|aggregation.*?)/.*",
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
        if self.loss.classes:
            return {"classes": self.loss.classes}
        extra = ("aggregated_codes",) if self.config.aggregation.layers else ()
        return dict.fromkeys(("codes", *extra), self.loss.codes)

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

    @cached_property
    def model(self) -> Beit:
        return Beit(self.config)

    def init(self, rng: Array):
        return fresh_params(self.model, rng), {}

    def prepare(self, params, buffers, batch, step, rng, constants):
        if self.loss.classes:
            how = self.loss.mixing, self.pixels, self.config.classes, self.loss.label_smoothing
            return mixed(batch, rng, *how), buffers
        return with_codes(batch, constants), buffers

    def embed(self, params, buffers, batch, step, rngs) -> Outputs:
        def apply(method, *arguments):
            image = normalise(batch["image"], self.pixels)
            return self.model.apply({"params": params}, image, *arguments, method=method, rngs=rngs)

        if self.loss.classes:
            term = class_term(apply("classify"), batch, self.loss.label_smoothing)
            return Outputs(terms={"classes": term})
        counted = batch["patch_mask"] * batch["weight"][:, None]
        logits = apply("all_code_logits", batch["patch_mask"])
        losses = {name: cross_entropy(x, batch["codes"]) for name, x in logits.items()}
        count = jnp.sum(counted)
        return Outputs(terms={name: (jnp.sum(x * counted), count) for name, x in losses.items()})
