"""Losses that compare every image of the global batch with every text.

Letters: B batch, C columns compared with, D width, R ranks, b = B / R.
"""

import chex
import jax
import jax.numpy as jnp

from vlx.objectives.ranks import Term, by_rank, gather

Array = jax.Array

HIDDEN = -1e9  # a logit that no softmax notices, yet keeps every gradient finite
DIRECTIONS = {"mean": 0.5, "sum": 1.0}  # of image to text and text to image


def contrastive(
    image: Array,
    text: Array,
    scale: Array,
    weight: Array,
    bias: Array | None = None,
    directions: str = "mean",
) -> Term:
    """Symmetric InfoNCE between images and texts of the same row.

    image, text: [B, D], unit length. scale: inverse temperature; bias: added to every logit.
    weight: [B], 0 is padding. `directions`: CLIP takes the "mean" of image to text and text to
    image, CoCa's paper (equation 2) their "sum".
    """
    chex.assert_equal_shape([image, text])
    chex.assert_shape(weight, (image.shape[0],))
    logits, own = _logits(image, text, scale, bias), jnp.arange(len(image))
    loss = _own(logits, own, weight) + _own(logits.T, own, weight)
    return DIRECTIONS[directions] * jnp.sum(weight * loss), jnp.sum(weight)


def contrastive_by_rank(
    image: Array,
    text: Array,
    scale: Array,
    weight: Array,
    bias: Array | None = None,
    directions: str = "mean",
    ranks: int = 2,
    negatives: str = "global",
    local_loss: bool = False,
    gather_with_grad: bool = False,
) -> Array:
    """The loss of each rank of open_clip, whose mean its data-parallel training minimises: [R].

    `negatives`: "global" gathers the features of all ranks, "local" compares within a rank.
    `local_loss`: a rank compares only its own rows with all others, else all rows with all.
    `gather_with_grad`: gradients flow back through the gathered features. Only with it is the
    gradient the true one; the official defaults are false and false.
    """
    own = [by_rank(x, ranks) for x in (image, text, weight)]
    if negatives == "local":
        everything, local_loss = own, False
    else:
        everything = [gather(x, ranks, gather_with_grad) for x in (image, text, weight)]
        if local_loss and not gather_with_grad:
            everything = jax.lax.stop_gradient(everything)

    def of_rank(rank, scale, own, everything):
        image, text, weight = own if local_loss else everything
        place = rank * len(own[0]) if local_loss else 0
        label, (images, texts, weights) = jnp.arange(len(image)) + place, everything
        loss = _own(_logits(image, texts, scale, bias), label, weights)
        loss = loss + _own(_logits(text, images, scale, bias), label, weights)
        count = jnp.sum(weight)
        return DIRECTIONS[directions] * jnp.sum(weight * loss) / jnp.where(count > 0, count, 1)

    scales = jnp.broadcast_to(jnp.ravel(scale), (ranks,))
    return jax.vmap(of_rank)(jnp.arange(ranks), scales, own, everything)


def sigmoid(
    image: Array,
    text: Array,
    scale: Array,
    weight: Array,
    bias: Array | None = None,
    negative_only: bool = False,
) -> Term:
    """Pairwise sigmoid loss of SigLIP (arXiv 2303.15343): every pair is its own yes or no.

    Arguments as `contrastive`. The sum over pairs is divided by the rows, not by the pairs. With
    `negative_only` the rows of equal index do not match either (blocks of other ranks' texts).
    """
    chex.assert_equal_shape([image, text])
    logits = _logits(image, text, scale, bias)
    sign = -jnp.ones_like(logits) if negative_only else 2 * jnp.eye(len(image)) - 1
    loss = -jax.nn.log_sigmoid(sign * logits) * weight[:, None] * weight[None, :]
    return jnp.sum(loss), jnp.sum(weight)


def distillation(student: Array, teacher: Array, weight: Array) -> Term:
    """Cross-entropy of a teacher's distributions: logits [B, C] of one direction each.

    Rows and columns of weight 0 are padding; B = C.
    """
    real = jnp.where(weight > 0, 0.0, HIDDEN)
    target = jax.nn.softmax(teacher + real, axis=1)
    loss = -jnp.sum(target * jax.nn.log_softmax(student + real, axis=1), axis=1)
    return jnp.sum(weight * loss), jnp.sum(weight)


def _logits(rows: Array, columns: Array, scale: Array, bias: Array | None) -> Array:
    """[B, D], [C, D] -> [B, C]; `scale` and `bias` hold one number each."""
    logits = jnp.einsum("BD,CD->BC", rows, columns, precision="highest")
    logits = jnp.reshape(scale, ()) * logits
    return logits if bias is None else logits + jnp.reshape(bias, ())


def _own(logits: Array, label: Array, weight: Array) -> Array:
    """Cross-entropy of each row against its column; columns of weight 0 do not take part."""
    logits = logits + jnp.where(weight > 0, 0.0, HIDDEN)
    own = jnp.take_along_axis(logits, label[:, None], axis=1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - own
