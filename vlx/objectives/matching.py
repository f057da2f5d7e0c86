"""Losses of what an image and a text are to each other, and of answers to questions.

Letters: B batch, A answers.
"""

import chex
import jax
import jax.numpy as jnp

from vlx.objectives.cross_entropy import cross_entropy
from vlx.objectives.ranks import Term

Array = jax.Array


def matching(logits: Array, label: Array, weight: Array, smoothing: float = 0.0) -> Term:
    """Cross-entropy of classes such as "no" and "yes": [B, A], int [B], [B]."""
    return jnp.sum(cross_entropy(logits, label, smoothing) * weight), jnp.sum(weight)


def mixed_matching(logits: Array, shares: Array, weight: Array) -> Term:
    """Cross-entropy of examples that show several classes: [B, A], shares [B, A], [B]."""
    chex.assert_equal_shape([logits, shares])
    loss = -jnp.sum(jax.nn.log_softmax(logits.astype(jnp.float32)) * shares, axis=1)
    return jnp.sum(loss * weight), jnp.sum(weight)


def answers(logits: Array, scores: Array, weight: Array) -> Term:
    """Binary cross-entropy with a score for each answer, summed over answers: [B, A], [B, A], [B].

    As published for VQA: the mean over all entries, times their number in an example.
    """
    chex.assert_equal_shape([logits, scores])
    x = logits.astype(jnp.float32)
    loss = jnp.sum(jax.nn.softplus(x) - x * scores, axis=1)
    return jnp.sum(loss * weight), jnp.sum(weight)
