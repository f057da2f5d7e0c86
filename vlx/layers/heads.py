"""What stands on top of an encoder: predictions of words and of classes.

Letters: B batch, L tokens, D width, V vocabulary, C classes.
"""

from functools import partial

import flax.linen as nn
import jax

from vlx.layers import initializers as init
from vlx.layers.mlp import gelu
from vlx.layers.module import Dense, Module
from vlx.layers.norm import Norm

Array = jax.Array


class WordHead(Module):
    """BERT's prediction of masked words, with a table of its own: [B, L, D] -> [B, L, V]."""

    vocabulary: int
    width: int
    deviation: float = 0.02
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = init.normal(self.deviation)
        x = Dense(self.width, kernel_init=kernel, dtype=self.dtype, name="hidden")(x)
        x = Norm(1e-12, self.dtype, name="norm")(gelu(x))
        return Dense(self.vocabulary, kernel_init=kernel, dtype=self.dtype, name="logits")(x)


class Classifier(Module):
    """A hidden layer, its norm, GELU, and the classes: [B, D] -> [B, C]."""

    classes: int
    hidden: int
    kernel_init: init.Initializer = init.normal(0.02)
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        dense = partial(Dense, kernel_init=self.kernel_init, dtype=self.dtype)
        x = gelu(Norm(1e-5, self.dtype, name="norm")(dense(self.hidden, name="hidden")(x)))
        return dense(self.classes, name="logits")(x)


class Logits(Module):
    """One linear layer with a row for each word: [B, L, D] -> [B, L, V]."""

    vocabulary: int
    kernel_init: init.Initializer = init.normal(0.02)
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return Dense(
            self.vocabulary, kernel_init=self.kernel_init, dtype=self.dtype, name="logits"
        )(x)
