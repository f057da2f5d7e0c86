"""Training of VQ-KD: codes from which a decoder tells what a teacher sees in each patch.

The teacher is a constant of the run: `loss.teacher` names its folder or file. It looks at the
same image, in pixels of its own statistics. The codebook follows the encoder without gradients:
buffers hold it, as the model's parameter `codebook`, and how often each code is used in a step.

Letters: B batch, P patches, E width of codes, F width of the teacher's vectors, V codes,
R codebooks (`loss.ranks`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from vlx.config import build, from_preset, square
from vlx.errors import UserError
from vlx.layers.attention import unit
from vlx.layers.pixels import normalise
from vlx.layers.quantizer import add_up, draw, follow, kmeans, quantize
from vlx.models.capabilities import can
from vlx.models.vqkd import CONFIGS, Vqkd, VqkdConfig, fresh_params
from vlx.tasks.task import MODEL, Constant, Outputs, Task, whole

Array = jax.Array

# The official rule, as patterns for `optimizer.no_decay`; the codebook takes no part anyway.
NO_DECAY = (r".*(bias|scale)", r".*/(class_token|positions)")


@dataclass(frozen=True)
class VqkdLoss:
    """Weights of the terms, and how codes follow what they stand for."""

    reconstruct: float = 1.0  # one less the cosine with the teacher's vector
    quantize: float = 1.0  # mean square of what the nearest code loses
    teacher: str = ""  # a trained model with vectors of patches, any folder or file that vlx reads
    decay: float = 0.99  # of a code, in a step
    rounds: int = 10  # of k-means on the first batch, which makes the codes; 0: random ones
    restart: float = 0.0  # codes with less use a step begin anew at a patch of the batch; 0: none
    ranks: int = 1  # more: as on so many processes, each with a k-means and a codebook of its own

    def __post_init__(self):
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay={self.decay} must be 0 or more, and less than 1.")
        if self.rounds < 0 or self.restart < 0 or self.ranks < 1:
            raise ValueError("rounds and restart must not be negative, ranks must be 1 or more.")
        if self.restart and self.ranks > 1:
            raise ValueError("restart is for one codebook; set ranks=1.")


def configure(given: Mapping[str, Any]) -> VqkdConfig:
    """A model config from a preset and what differs from it; `image_size` may be one number."""
    return from_preset(CONFIGS, given, {"image_size": square})


@dataclass(frozen=True)
class VqkdTask(Task):
    """Cosines with the teacher's vectors, and the distance to the nearest codes."""

    config: VqkdConfig
    loss: VqkdLoss

    fields = ("image", "weight")
    evaluators = ("losses", "codes")

    @classmethod
    def build(cls, model: Mapping[str, Any], loss: Mapping[str, Any]) -> "VqkdTask":
        """The task of a run's `model` and `loss` sections."""
        config = configure(model)
        if not config.features:
            raise UserError("config.model.features=0: without a decoder nothing can be learned.")
        return cls(config, build(VqkdLoss, loss, "config.loss"))

    @property
    def weights(self) -> dict[str, float]:
        return {
            "reconstruct": self.loss.reconstruct,
            "quantize": self.loss.quantize,
            "codes_in_use": 0.0,  # a share that is logged
        }

    @property
    def constants(self) -> dict[str, str]:
        return {"teacher": self.loss.teacher}

    @cached_property
    def model(self) -> Vqkd:
        return Vqkd(self.config)

    def init(self, rng: Array):
        """A codebook of zeros is one that k-means has yet to make."""
        params, ranks = fresh_params(self.model, rng), self.loss.ranks
        first = params.pop("codebook")
        if self.loss.rounds:
            first = jnp.zeros_like(first)
        buffers = {MODEL: {"codebook": first}, "usage": jnp.ones(len(first))}
        if ranks > 1:
            buffers["other_codebooks"] = jnp.broadcast_to(first, (ranks - 1, *first.shape))
        return params, buffers

    def prepare(self, params, buffers, batch, step, rng, constants):
        if "target" not in batch:
            target = self._targets(batch["image"], constants["teacher"])
            batch = {**batch, "target": target}
        if not buffers:  # an evaluation
            return batch, buffers
        starts, draws = jax.random.split(rng)
        if self.loss.restart:
            noise = jax.random.uniform(draws, batch["target"].shape[:2])
            noise = jnp.where(batch["weight"][:, None] > 0, noise, jnp.inf)
            batch = {**batch, "noise": noise}
        if self.loss.rounds:
            begun = jnp.any(buffers[MODEL]["codebook"] != 0)
            keep, start = lambda: buffers, lambda: self._start(params, buffers, batch, starts)
            buffers = jax.lax.cond(begun, keep, start)
        return batch, buffers

    def _targets(self, image: Array, teacher: Constant) -> Array:
        """The teacher's vectors, [B, P, F]."""
        kind, c = type(teacher.model).__name__, self.config
        if not can(teacher.model, "patch_features"):
            raise UserError(
                f"config.loss.teacher holds a {kind}, which has no vectors of patches; name a CLIP "
                "or DINO model, or a BEiT."
            )
        seen = teacher.model.config.image_size
        if tuple(seen) != tuple(c.image_size):
            raise UserError(
                f"config.loss.teacher looks at {seen[0]} x {seen[1]} pixels, the model at "
                f"{c.image_size[0]} x {c.image_size[1]}; set config.model.image_size={seen}."
            )
        try:
            target = teacher("patch_features", image)
        except ValueError as error:
            raise UserError(f"config.loss.teacher: {error}") from error
        patches, width = target.shape[1:]
        if patches != c.grid[0] * c.grid[1]:
            raise UserError(
                f"config.loss.teacher has {patches} patches, the model {c.grid[0] * c.grid[1]}; "
                "set config.model.patch to the teacher's."
            )
        if width != c.features:
            raise UserError(
                f"config.loss.teacher has vectors of {width} numbers, the model predicts "
                f"{c.features}; set config.model.features={width}."
            )
        return target

    def _start(self, params, buffers, batch, rng):
        """Buffers whose codes are made by k-means of the whole batch, or of each rank's share."""
        ranks, rounds = self.loss.ranks, self.loss.rounds
        z = self._code_vectors(whole(params, buffers), batch["image"], {})  # BPE
        weight = jnp.broadcast_to(batch["weight"][:, None], z.shape[:2])
        rows, weight = z.reshape(ranks, -1, z.shape[-1]), weight.reshape(ranks, -1)
        noise = jnp.where(weight > 0, jax.random.uniform(rng, weight.shape), jnp.inf)

        def one_book(rows, weight, noise):
            return kmeans(rows, weight, draw(rows, noise, self.config.codes), rounds)

        codes, counts = jax.vmap(one_book)(rows, weight, noise)
        return self._replaced(buffers, codes, jnp.sum(counts, axis=0))

    def embed(self, params, buffers, batch, step, rngs) -> Outputs:
        params, weight = whole(params, buffers), batch["weight"]
        z = self._code_vectors(params, batch["image"], rngs)
        quantized = quantize(z, self._codebooks(params, buffers))
        made = self._apply(params, "decode", quantized.vectors, rngs)
        cosine = jnp.sum(unit(made) * unit(batch["target"]), axis=-1)  # BP

        def mean(each: Array) -> tuple[Array, Array]:
            return jnp.sum(jnp.mean(each, axis=1) * weight), jnp.sum(weight)

        terms = {"reconstruct": mean(1 - cosine), "quantize": mean(quantized.error)}
        if not buffers:
            return Outputs(terms=terms)
        used = jnp.mean(buffers["usage"] >= 1 - self.loss.decay)  # once in 1 / (1 - decay) steps
        terms["codes_in_use"] = used * jnp.sum(weight), jnp.sum(weight)
        rows = jnp.broadcast_to(weight[:, None], quantized.index.shape)
        counts, sums = add_up(z, quantized.index, rows, self.config.codes)
        coupled = {"rows": z, "noise": batch["noise"]} if self.loss.restart else {}
        return Outputs(coupled, terms, statistics={"counts": counts, "sums": sums})

    def advance(self, params, buffers, coupled, statistics, step):
        counts, sums = statistics["embed"]["counts"], statistics["embed"]["sums"]
        codes = self._codebooks(whole(params, buffers), buffers)
        codes, usage = follow(codes, buffers["usage"], counts, sums, self.loss.decay)
        if self.loss.restart:
            unused = usage < self.loss.restart
            rows, noise = coupled["rows"].reshape(-1, sums.shape[1]), coupled["noise"].reshape(-1)
            fresh = draw(rows, noise, len(usage))[jnp.cumsum(unused) - 1]
            codes = jnp.where(unused[:, None], fresh, codes)
            usage = jnp.where(unused, jnp.mean(counts), usage)  # time to be found
        return self._replaced(buffers, codes, usage)

    def _apply(self, params, method: str, x: Array, rngs) -> Array:
        return self.model.apply({"params": params}, x, method=method, rngs=rngs)

    def _code_vectors(self, params, image: Array, rngs) -> Array:
        return self._apply(params, "code_vectors", normalise(image, self.pixels), rngs)

    def _codebooks(self, params, buffers) -> Array:
        """[R, V, E]; an evaluation knows the first alone."""
        first = params["codebook"][None]
        others = buffers.get("other_codebooks")
        return first if others is None else jnp.concatenate([first, others])

    def _replaced(self, buffers, codes: Array, usage: Array):
        new = {**buffers, MODEL: {"codebook": codes[0]}, "usage": usage}
        return new | {"other_codebooks": codes[1:]} if self.loss.ranks > 1 else new
