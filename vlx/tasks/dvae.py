"""Training of a visual tokenizer: images from codes, all of which shall be of use.

Codes are drawn by the Gumbel-softmax with its hard forward pass (arXiv 1611.01144), at a
temperature that cools down exponentially.
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
from vlx.models.dvae import CONFIGS, Dvae, DvaeConfig
from vlx.tasks.task import Outputs, Task

Array = jax.Array


@dataclass(frozen=True)
class DvaeLoss:
    """Weights of the terms, and how draws cool down."""

    reconstruction: float = 1.0  # squared error of a pixel, summed over colours
    uniformity: float = 0.01  # of the batch's mean distribution over codes, its distance from even
    temperature: float = 1.0  # of the first draws
    coldest: float = 0.3
    cooling: float = 300.0  # steps in which it falls by a factor e

    def __post_init__(self):
        if not 0 < self.coldest <= self.temperature:
            raise ValueError("temperature and coldest must be positive, coldest the smaller one.")


def configure(given: Mapping[str, Any]) -> DvaeConfig:
    """A model config from a preset and what differs from it; `image_size` may be one number."""
    return from_preset(CONFIGS, given, {"image_size": square})


@dataclass(frozen=True)
class DvaeTask(Task):
    """Squared error of images from drawn codes, and an even use of codes."""

    config: DvaeConfig
    loss: DvaeLoss
    pixels: str = "dall_e"

    fields = ("image", "weight")
    evaluators = ("losses",)
    rngs = ("codes",)

    @classmethod
    def build(cls, model: Mapping[str, Any], loss: Mapping[str, Any]) -> "DvaeTask":
        """The task of a run's `model` and `loss` sections."""
        config = configure(model)
        if not config.decoder:
            raise UserError("config.model.decoder=False: without a decoder nothing can be learned.")
        return cls(config, build(DvaeLoss, loss, "config.loss"))

    @property
    def weights(self) -> dict[str, float]:
        return {
            "reconstruction": self.loss.reconstruction,
            "uniformity": self.loss.uniformity,
        }

    @cached_property
    def model(self) -> Dvae:
        return Dvae(self.config)

    def init(self, rng: Array):
        return self.model.init(rng, jnp.zeros((1, *self.image_size, 3)))["params"], {}

    def embed(self, params, buffers, batch, step, rngs) -> Outputs:
        def apply(method, x):
            return self.model.apply({"params": params}, x, method=method)

        image, weight = normalise(batch["image"], self.pixels), batch["weight"]
        logits = apply("logits", image)
        if "codes" in rngs:
            draws = self._draw(logits, step, rngs["codes"])
        else:
            draws = jax.nn.one_hot(jnp.argmax(logits, axis=-1), self.config.codes)
        error = jnp.mean(jnp.sum(jnp.square(apply("decode", draws) - image), axis=-1), axis=(1, 2))
        share = jnp.mean(jax.nn.softmax(logits), axis=(1, 2))  # BV
        terms = {"reconstruction": (jnp.sum(error * weight), jnp.sum(weight))}
        return Outputs(coupled={"share": share, "weight": weight}, terms=terms)

    def _draw(self, logits: Array, step, key: Array) -> Array:
        loss = self.loss
        cooled = loss.temperature * jnp.exp(-step / loss.cooling)
        temperature = jnp.maximum(cooled, loss.coldest)
        soft = jax.nn.softmax((logits + jax.random.gumbel(key, logits.shape)) / temperature)
        hard = jax.nn.one_hot(jnp.argmax(soft, axis=-1), logits.shape[-1])
        return soft + jax.lax.stop_gradient(hard - soft)

    def couple(self, params, buffers, coupled, step, rng):
        """Log of the codes' number, less the entropy of their mean use."""
        share, weight = coupled["share"], coupled["weight"]
        use = jnp.sum(share * weight[:, None], axis=0) / jnp.maximum(jnp.sum(weight), 1)
        distance = jnp.sum(use * jnp.log(use * self.config.codes + 1e-9))
        return {"uniformity": (distance, jnp.ones(()))}, {}
