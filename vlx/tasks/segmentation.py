"""Training of a class for every pixel.

Batch norm has statistics over groups of `loss.statistics_group` examples, which official runs have
on all devices together; its running ones are buffers, as parameters of the model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from vlx.config import build, from_preset, square
from vlx.layers.batch_norm import RUNNING, STATISTICS, follow
from vlx.layers.pixels import normalise
from vlx.layers.resample import bilinear
from vlx.models.segmenter import CONFIGS, Segmenter, SegmenterConfig, fresh_params
from vlx.objectives.segmentation import pixel_classes
from vlx.tasks.task import MODEL, LayerGroups, Outputs, Task, whole

Array = jax.Array

# The official rule, as patterns for `optimizer.no_decay`: all vectors but the class token, which
# its list of exceptions misses by a prefix.
NO_DECAY = (r".*(bias|scale)",)


@dataclass(frozen=True)
class SegmentationLoss:
    """Weights of the terms, and how batch norm learns what is usual."""

    pixels: float = 1.0
    auxiliary: float = 0.4  # of the second head, on a coarser level
    statistics_group: int = 16  # examples in a row that are normalised together
    momentum: float = 0.1  # of a step, in the running statistics

    def __post_init__(self):
        if self.statistics_group < 1:
            raise ValueError(f"statistics_group={self.statistics_group} must be 1 or more.")
        if not 0 < self.momentum <= 1:
            raise ValueError(f"momentum={self.momentum} must be above 0, and at most 1.")


def configure(given: Mapping[str, Any]) -> SegmenterConfig:
    """A model config from a preset and what differs from it; `image_size` may be one number."""
    short = {"image_size": lambda size: {"backbone": square(size)}}
    return from_preset(CONFIGS, given, short)


@dataclass(frozen=True)
class SegmentationTask(Task):
    """Cross-entropy of the classes of pixels, by both heads."""

    config: SegmenterConfig
    loss: SegmentationLoss

    fields = ("image", "label_map", "weight")
    evaluators = ("segmentation",)
    layer_groups: ClassVar[dict[str, LayerGroups]] = {
        "image": LayerGroups(
            embeddings=r"backbone/image/.*",
            stack=r"backbone/encoder/lower/layers/.*",
            last=r"(?!)",  # what comes after the layers shares the heads' rate
            head=r"(pyramid|head|auxiliary)/.*",
        ),
    }

    @classmethod
    def build(cls, model: Mapping[str, Any], loss: Mapping[str, Any]) -> "SegmentationTask":
        """The task of a run's `model` and `loss` sections."""
        return cls(configure(model), build(SegmentationLoss, loss, "config.loss"))

    @property
    def weights(self) -> dict[str, float]:
        return {"pixels": self.loss.pixels, "auxiliary": self.loss.auxiliary}

    @property
    def together(self) -> int:
        return self.loss.statistics_group

    @cached_property
    def model(self) -> Segmenter:
        return Segmenter(self.config)

    def init(self, rng: Array):
        params = flatten_dict(fresh_params(self.model, rng))
        running = {path: params.pop(path) for path in list(params) if path[-1] in RUNNING}
        return unflatten_dict(params), {MODEL: unflatten_dict(running)}

    def embed(self, params, buffers, batch, step, rngs) -> Outputs:
        image, label_map = normalise(batch["image"], self.pixels), batch["label_map"]
        (logits, coarse), sown = self.model.apply(
            {"params": whole(params, buffers)},
            image,
            self.loss.statistics_group if rngs else None,
            rngs=rngs,
            mutable=[STATISTICS],
        )

        def term(logits: Array):
            logits = bilinear(logits.astype(jnp.float32), label_map.shape[1:])
            return pixel_classes(logits, label_map, batch["weight"])

        terms = {"pixels": term(logits), "auxiliary": term(coarse)}
        return Outputs(terms=terms, statistics=sown.get(STATISTICS, {}))

    def advance(self, params, buffers, coupled, statistics, step):
        moved = follow(buffers[MODEL], statistics["embed"], self.loss.momentum)
        return {**buffers, MODEL: moved}
