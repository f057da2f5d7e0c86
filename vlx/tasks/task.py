"""The form of a task: what a training stage optimises, and what it needs of the data.

A task is a small frozen object. Its methods are pure functions of arrays, so that one training
step serves every system: with any number of micro-batches, devices and hosts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

import flax.linen as nn
import jax
from flax import struct
from flax.traverse_util import flatten_dict, unflatten_dict

from vlx.config import to_dict
from vlx.layers.pixels import normalise

Array = jax.Array
Tree = Any
Batch = Mapping[str, Any]  # field -> array, or group -> such a mapping
Terms = dict[str, tuple[Array, Array]]  # name -> (sum, count); the count ignores the parameters
Rngs = dict[str, Array]


@struct.dataclass
class Outputs:
    """What a set of examples yields."""

    coupled: Tree = struct.field(default_factory=dict)  # rows [B, ...] that `couple` compares
    terms: Terms = struct.field(default_factory=dict)
    statistics: Tree = struct.field(default_factory=dict)  # sums over examples, for `advance`


@struct.dataclass
class Choice:
    """Rows of the global batch that `couple` chose for `finish`."""

    index: Array  # int32 [B]
    fields: tuple[str, ...] = struct.field(pytree_node=False)  # what to gather of them


MODEL = "model"  # of buffers: parameters of the model that change without gradients


def whole(params: Tree, buffers: Tree) -> Tree:
    """All parameters of the model: with those that buffers hold, such as a codebook."""
    held = flatten_dict(buffers.get(MODEL, {}))
    return unflatten_dict(flatten_dict(params) | held) if held else params


def apart(params: Tree, buffers: Tree) -> tuple[Tree, Tree]:
    """Undoes `whole`: parameters that learn by gradients, and buffers with the others."""
    flat, held = flatten_dict(params), flatten_dict(buffers.get(MODEL, {}))
    if not held:
        return params, buffers
    rest = {path: x for path, x in flat.items() if path not in held}
    moved = unflatten_dict({path: flat[path] for path in held})
    return unflatten_dict(rest), {**buffers, MODEL: moved}


@struct.dataclass
class Constant:
    """A foreign network that a run uses as it is; it is in no checkpoint and in no export."""

    params: Tree
    model: nn.Module = struct.field(pytree_node=False)
    pixels: str = struct.field(pytree_node=False)  # see vlx/layers/pixels.py
    digest: str = struct.field(pytree_node=False, default="")  # of the parameters

    def __call__(self, method: str, image: Array) -> Array:
        """A method of the network on pixels uint8 [B, height, width, 3]."""
        image = normalise(image, self.pixels)
        return self.model.apply({"params": self.params}, image, method=method)


@dataclass(frozen=True)
class LayerGroups:
    """Patterns over parameter paths, in the order of depth, for layer-wise rates and locking."""

    embeddings: str
    stack: str  # parameters whose first axis counts layers, of one stack or of lower and upper
    last: str  # shares the group of the last layer
    head: str


class Task:
    """What training and evaluation ask of a stage: a frozen dataclass with a config and a loss.

    From `prepare` on, `embed` alone is required.
    """

    config: Any  # of the model
    loss: Any  # weights of the terms, and their forms
    fields: ClassVar[tuple[str, ...]]  # of a batch, see vlx/data/batch.py
    evaluators: ClassVar[tuple[str, ...]]  # that suit the stage
    rngs: ClassVar[tuple[str, ...]] = ("dropout",)  # names of random streams that `embed` reads
    parts: Mapping[str, "Task"] = MappingProxyType({})  # tasks on groups of a batch, see Joint
    together: int = 1  # so many examples in a row are what micro-batches are made of
    layer_groups: ClassVar[dict[str, LayerGroups]] = {}
    left_out: tuple[str, ...] = ()  # patterns of parameters that take no part in the stage
    weights: Mapping[str, float]  # of the terms
    model: nn.Module  # its public methods are the capabilities that evaluators ask for
    constants: Mapping[str, str] = MappingProxyType({})  # networks for `prepare`: name -> path

    @property
    def pixels(self) -> str:
        """The name of the pixel statistics, see vlx/layers/pixels.py."""
        return self.config.pixels

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width."""
        return self.config.image_size

    @property
    def text_length(self) -> int:
        """Of the longest text; 0: the task reads none."""
        return getattr(self.config, "text_length", 0)

    @property
    def vocabulary(self) -> int:
        """How many ids the model takes."""
        return getattr(self.config, "vocabulary", 0)

    @property
    def answers(self) -> int:
        """How many answers the model tells apart."""
        return getattr(self.config, "answers", 0)

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of patches, where patches are masked."""
        return getattr(self.config, "grid", None)

    @classmethod
    def build(cls, model: Mapping[str, Any], loss: Mapping[str, Any]) -> "Task":
        """The task of a run's `model` and `loss` sections."""
        raise NotImplementedError

    def sections(self) -> dict[str, Any]:
        """The complete `model` and `loss` sections, as `build` takes them."""
        return {"model": to_dict(self.config), "loss": to_dict(self.loss)}

    def without_remat(self) -> "Task":
        """The same task, with nothing computed twice: for counting FLOPs."""
        compute = getattr(self.config, "compute", None)
        if compute is None:
            return self
        return replace(self, config=replace(self.config, compute=replace(compute, remat="none")))

    def init(self, rng: Array) -> tuple[Tree, Tree]:
        """Parameters and buffers; what of the latter are the model's parameters is under MODEL."""
        raise NotImplementedError

    def prepare(
        self, params, buffers, batch: Batch, step, rng, constants: Mapping[str, Constant]
    ) -> tuple[Batch, Tree]:
        """The batch as the losses read it, once a step for the whole batch, without gradient.

        rng: None outside training, where nothing is drawn.
        """
        return batch, buffers

    def embed(self, params, buffers, batch: Batch, step, rngs: Rngs) -> Outputs:
        """What each example yields by itself; training is where `rngs` are given."""
        raise NotImplementedError

    def couple(self, params, buffers, coupled, step, rng) -> tuple[Terms, dict[str, Choice]]:
        """Terms that compare examples across the global batch, and rows for `finish`."""
        return {}, {}

    def finish(self, params, buffers, batch: Batch, chosen, step, rngs: Rngs) -> Outputs:
        """Terms that need the chosen rows: {name of the choice: {field: rows}}."""
        return Outputs()

    def advance(self, params, buffers, coupled, statistics, step) -> Tree:
        """Buffers after the step."""
        return buffers
