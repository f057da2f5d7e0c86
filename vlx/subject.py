"""A trained model as evaluators see a run: with data and settings from a recipe."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax

from vlx.data import Tokenizer
from vlx.interop.pretrained import Pretrained
from vlx.parallel import layout
from vlx.train.config import RunConfig
from vlx.train.setup import Setup


@dataclass(frozen=True)
class Subject:
    """What evaluators ask of a task, for a model that comes without one."""

    model: nn.Module
    pixels: str
    image_size: tuple[int, int]
    evaluators = ("zero_shot", "retrieval")

    @property
    def text_length(self) -> int:
        return self.model.config.text_length

    @property
    def vocabulary(self) -> int:
        return self.model.config.vocabulary


@dataclass(frozen=True)
class ModelSetup(Setup):
    """The settings of a recipe, but the model, its pixels and its vocabulary."""

    pretrained: Pretrained

    @cached_property
    def task(self) -> Subject:
        p = self.pretrained
        return Subject(p.model, p.pixels.statistics, p.pixels.size)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return self.pretrained.words

    @cached_property
    def params(self) -> Any:
        """The parameters where the mesh wants them."""
        tree = self.pretrained.tree
        return jax.device_put(tree, layout.shardings(tree, self.mesh))


def model_setup(config: RunConfig, pretrained: Pretrained, workdir: Path) -> ModelSetup:
    """`pretrained` on the data of `config`; results go to `workdir`.

    Raises UserError for a model without a vocabulary.
    """
    pixels, tokenizer = pretrained.pixels, pretrained.tokenizer
    _ = pretrained.words  # says why there are no texts
    data = replace(config.data, resize_mode=pixels.resize_mode, interpolation=pixels.interpolation)
    return ModelSetup(replace(config, data=data, tokenizer=tokenizer), workdir, pretrained)
