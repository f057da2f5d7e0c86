"""A trained model as evaluators see a run: with data and settings from a recipe."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax

from vlx.data import Answers, Tokenizer
from vlx.interop.pretrained import Pretrained
from vlx.models.capabilities import PAIR_OF_IMAGES, can
from vlx.parallel import layout
from vlx.train.config import RunConfig
from vlx.train.setup import Setup


@dataclass(frozen=True)
class Subject:
    """What evaluators ask of a task, for a model that comes without one."""

    model: nn.Module
    pixels: str
    image_size: tuple[int, int]

    @property
    def evaluators(self) -> tuple[str, ...]:
        """Those that suit what the model can do."""
        suited = {
            "zero_shot": can(self.model, "encode_text"),
            "retrieval": can(self.model, "encode_text"),
            "captioning": can(self.model, "decode_step") and not can(self.model, "encode_text"),
            "vqa": can(self.model, "answer"),
            "statements": self._compares,
            "classification": can(self.model, "classify"),
            "segmentation": can(self.model, "segment"),
        }
        return tuple(name for name, suits in suited.items() if suits)

    @property
    def fields(self) -> tuple[str, ...]:
        """Of a batch, what the model reads."""
        names = ["image"]
        names += ["second_image"] if self._compares else []
        names += ["text", "text_mask"] if self.text_length else []
        return (*names, "weight")

    @property
    def _compares(self) -> bool:
        """Whether its only answers are about two images."""
        return can(self.model, "answer", PAIR_OF_IMAGES) and not can(self.model, "answer")

    @property
    def text_length(self) -> int:
        return getattr(self.model.config, "text_length", 0)

    @property
    def vocabulary(self) -> int:
        return getattr(self.model.config, "vocabulary", 0)


@dataclass(frozen=True)
class ModelSetup(Setup):
    """The settings of a recipe, but the model, its pixels and its vocabulary."""

    pretrained: Pretrained

    @cached_property
    def task(self) -> Subject:
        p = self.pretrained
        return Subject(p.model, p.pixels.statistics, p.pixels.size)

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        return self.pretrained.words if self.task.text_length else None

    @cached_property
    def answers(self) -> Answers | None:
        known, spelling = self.pretrained.answers, self.config.data.answer_spelling
        return Answers(known, spelling) if known else None

    @cached_property
    def params(self) -> Any:
        """The parameters where the mesh wants them."""
        tree = self.pretrained.tree
        return jax.device_put(tree, layout.shardings(tree, self.mesh))


def model_setup(config: RunConfig, pretrained: Pretrained, workdir: Path) -> ModelSetup:
    """`pretrained` on the data of `config`; results go to `workdir`.

    Raises UserError for a model of texts without a vocabulary.
    """
    pixels, tokenizer = pretrained.pixels, config.tokenizer
    if getattr(pretrained.model.config, "text_length", 0):
        _ = pretrained.words  # says why there are no texts
        tokenizer = pretrained.tokenizer
    data = replace(config.data, resize_mode=pixels.resize_mode, interpolation=pixels.interpolation)
    return ModelSetup(replace(config, data=data, tokenizer=tokenizer), workdir, pretrained)
