"""What a trained model is made of, wherever it was read from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from vlx.config import differing_shapes
from vlx.data import Tokenizer, TokenizerConfig, build_tokenizer
from vlx.data.augment import evaluation_resize
from vlx.errors import UserError
from vlx.layers.pixels import STATISTICS
from vlx.models import parameter_shapes


@dataclass(frozen=True)
class Pixels:
    """How pictures become what the model sees."""

    size: tuple[int, int]  # height, width
    statistics: str = "clip"  # a name in `vlx.layers.pixels.STATISTICS`
    resize_mode: str = "shortest"
    interpolation: str = "bicubic"
    part: float = 1.0  # shortest: how much of the shorter side is seen

    def __post_init__(self):
        if self.statistics not in STATISTICS:
            known = ", ".join(STATISTICS)
            raise ValueError(f"statistics={self.statistics!r}: choose from {known}.")
        if not 0 < self.part <= 1:
            raise ValueError(f"part={self.part} must be above 0 and at most 1.")

    def resize(self, image: np.ndarray) -> np.ndarray:
        """uint8 [any, any, 3] -> [height, width, 3]."""
        how = self.resize_mode, self.interpolation
        return evaluation_resize(image, self.size, *how, part=self.part)


@dataclass(frozen=True)
class Pretrained:
    """A model, its parameters, and how pictures and texts are put to it."""

    model: nn.Module
    params: Mapping[str, np.ndarray]  # by path, as `image/patches/projection/kernel`
    pixels: Pixels
    tokenizer: TokenizerConfig | None = None  # None: it reads no texts
    vocabulary: tuple[Path, ...] = field(default=())  # the tokenizer's files, in one folder
    answers: tuple[str, ...] = field(default=())  # by number, of a model that chooses from them

    @property
    def tree(self) -> dict:
        """The parameters as modules take them."""
        return unflatten_dict(dict(self.params), sep="/")

    @cached_property
    def words(self) -> Tokenizer:
        """The tokenizer itself. Raises UserError where there is none."""
        if not getattr(self.model.config, "text_length", 0):
            raise UserError(f"{type(self.model).__name__} reads and writes no texts.")
        if self.tokenizer is None or not self.vocabulary:
            raise UserError(
                "This model came without a vocabulary, so it reads and writes no texts; import it "
                "with --tokenizer=FILE."
            )

        def train():
            raise UserError(f"{self.vocabulary[0].parent} lacks the vocabulary's files.")

        config = replace(self.tokenizer, path="")
        return build_tokenizer(config, str(self.vocabulary[0].parent), train)


def check_params(model: nn.Module, params: Mapping[str, np.ndarray], where: object) -> None:
    """Raises UserError that lists the arrays in which parameters differ from the model's."""
    wanted = {path: x.shape for path, x in parameter_shapes(model).items()}
    given = {path: tuple(x.shape) for path, x in params.items()}
    differing = differing_shapes(given, wanted, "file")
    if differing:
        raise UserError(
            f"{where} holds another model than its config says; take both from one source. "
            f"{differing}."
        )


def float32(params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parameters in the type in which vlx keeps them."""
    return {path: np.asarray(jax.device_get(x), np.float32) for path, x in params.items()}
