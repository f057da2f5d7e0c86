"""A model that can write, with its tokenizer: pixels in, sentences out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh

from vlx.data import Tokenizer
from vlx.decode.generate import generate
from vlx.decode.options import DecodeOptions, Ids
from vlx.errors import UserError
from vlx.layers.pixels import normalise
from vlx.models.capabilities import can, why_not
from vlx.parallel.compiled import compiled


class Sentences(NamedTuple):
    """What was written about a batch of images."""

    texts: list[str]
    scores: np.ndarray  # [B], log-probabilities; of beam search, its own scores


@dataclass(frozen=True)
class Writer:
    """Writes a sentence about each image, beginning with `prefix`."""

    model: nn.Module
    pixels: str  # name of the pixel statistics
    tokenizer: Tokenizer
    options: DecodeOptions
    mesh: Mesh
    prefix: str = ""

    def __post_init__(self):
        if not hasattr(self.model, "decode_step"):
            raise UserError(f"{type(self.model).__name__} cannot write: it has no decoder.")
        if not can(self.model, "decode_step"):
            raise UserError(why_not(self.model, "decode_step"))

    def __call__(self, params: Any, image: jax.Array, seed: int = 0) -> Sentences:
        """image: uint8 [B, H, W, 3]; `seed` is for sampling."""
        text, score = self._program(params, image, seed)
        return Sentences([self.tokenizer.decode(row) for row in np.asarray(text)], np.array(score))

    @cached_property
    def prompt(self) -> np.ndarray:
        """The ids that every text begins with: int32 [n]."""
        most = self.options.max_length
        ids = self.tokenizer.encode(self.prefix, most + 1)
        ids = ids[: list(ids).index(self.tokenizer.end)]
        if len(ids) >= most:
            raise UserError(
                f"The prefix {self.prefix!r} leaves no room in captions of {most} tokens; shorten "
                "evaluate.caption_prefix, or raise evaluate.decode.max_length."
            )
        return ids

    @property
    def _program(self) -> Callable:
        t, how = self.tokenizer, {"model": self.model, "pixels": self.pixels}
        ids, prompt = Ids(t.start, t.end, t.pad), tuple(self.prompt.tolist())
        return compiled(_write, self.mesh, options=self.options, ids=ids, prompt=prompt, **how)


def _write(params, image, seed, *, model, pixels, options, ids, prompt):
    rows = len(image)
    starts = np.tile(np.array(prompt, np.int32), (rows, 1))
    draws = jax.random.uniform(jax.random.key(seed), (options.max_length, rows))
    return generate(model, params, normalise(image, pixels), options, ids, starts, draws)
