"""The loss of a class for every pixel.

Letters: B batch, h, w rows and columns of logits, H, W of pixels, K classes.
"""

import chex
import jax
import jax.numpy as jnp

from vlx.objectives.cross_entropy import cross_entropy
from vlx.objectives.ranks import Term

Array = jax.Array


def pixel_classes(logits: Array, label_map: Array, weight: Array) -> Term:
    """Cross-entropy of logits at the pixels' places: [B, H, W, K], int [B, H, W], [B].

    Pixels of a negative class have no loss and are counted all the same, as published.
    """
    chex.assert_shape(logits, (*label_map.shape, None))
    loss = cross_entropy(logits, jnp.maximum(label_map, 0))
    each = jnp.sum(jnp.where(label_map < 0, 0, loss), axis=(1, 2))  # B
    pixels = label_map.shape[1] * label_map.shape[2]
    return jnp.sum(each * weight), jnp.sum(weight) * pixels
