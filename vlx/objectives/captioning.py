"""The loss of predicting each next word.

Letters: B batch, T text length, V vocabulary.
"""

import chex
import jax
import jax.numpy as jnp

from vlx.objectives.cross_entropy import cross_entropy
from vlx.objectives.ranks import Term, reduce

Array = jax.Array


def captioning(
    logits: Array, label: Array, weight: Array, smoothing: float = 0.0, ranks: int = 1
) -> Term:
    """Cross-entropy of every word that counts.

    logits: [B, T, V]; label: int [B, T], the word that each position predicts (see `next_words`);
    weight: [B, T], 0 for padding. With ranks, the mean of each rank's mean (official code).
    """
    chex.assert_shape(logits, (*label.shape, None))
    chex.assert_equal_shape([label, weight])
    return reduce(cross_entropy(logits, label, smoothing), weight, ranks)


def next_words(text: Array, real: Array) -> tuple[Array, Array]:
    """The label of every position and whether it counts: int [B, T], [B, T] -> the same shapes.

    Position t predicts token t + 1; the last position predicts nothing.
    """
    label = jnp.roll(text, -1, axis=1)
    weight = jnp.roll(real, -1, axis=1).at[:, -1].set(0)
    return label, weight
