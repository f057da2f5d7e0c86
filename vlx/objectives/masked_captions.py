"""The loss of masked words with smoothed labels, and without its largest values.

As BEiT-3 fine-tunes captioners. Letters: B batch, T text length, V vocabulary, N words that count.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from vlx.objectives.ranks import Term, by_rank

Array = jax.Array


def smoothed_divergence(logits: Array, label: Array, smoothing: float) -> Array:
    """KL divergence of the softmax from smoothed labels: [..., V], int [...] -> [...], float32.

    The label has 1 - smoothing, every other word an equal part of the rest. Unlike cross-entropy it
    is 0 at its least.
    """
    share = jax.nn.log_softmax(logits.astype(jnp.float32))
    rest = smoothing / (logits.shape[-1] - 1)
    entropy = (1 - smoothing) * math.log(1 - smoothing)
    entropy += smoothing * math.log(rest) if smoothing else 0.0
    own = jnp.take_along_axis(share, label[..., None], axis=-1)[..., 0]
    return entropy - (1 - smoothing - rest) * own - rest * jnp.sum(share, axis=-1)


def without_worst(loss: Array, counted: Array, ratio: float, dropping: Array, ranks: int) -> Term:
    """The losses that count, and while `dropping` only so many of the smallest: [B, T] both.

    Of N words int(N (1 - ratio)) are kept. With ranks each drops among its own.
    """
    loss, counted = (by_rank(x, ranks).reshape(ranks, -1) for x in (loss, counted))
    number = jnp.sum(counted > 0, axis=1)
    kept = np.array([int(n * (1 - ratio)) for n in range(loss.shape[1] + 1)])
    number = jnp.where(dropping, jnp.asarray(kept)[number], number)
    ordered = jnp.sort(jnp.where(counted > 0, loss, jnp.inf), axis=1)
    smallest = jnp.where(jnp.arange(loss.shape[1]) < number[:, None], ordered, 0)
    if ranks == 1:
        return jnp.sum(smallest), number[0].astype(jnp.float32)
    return jnp.sum(jnp.sum(smallest, axis=1) / jnp.maximum(number, 1)), jnp.float32(ranks)
