"""Cross-entropy that keeps only the logits for the backward pass.

Letters: V classes.
"""

from functools import partial

import jax
import jax.numpy as jnp

Array = jax.Array


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def cross_entropy(logits: Array, label: Array, smoothing: float = 0.0) -> Array:
    """-log softmax(logits) at the label, in float32: [..., V], int [...] -> [...].

    With smoothing e the target is (1 - e) at the label plus e / V everywhere. The gradient comes
    back in the dtype of the logits, so that no float32 copy of a vocabulary's logits is kept.
    """
    return _forward(logits, label, smoothing)[0]


def _forward(logits, label, smoothing):
    x = logits.astype(jnp.float32)
    total = jax.nn.logsumexp(x, axis=-1)
    own = jnp.take_along_axis(x, label[..., None], axis=-1)[..., 0]
    target = (1 - smoothing) * own + smoothing * jnp.mean(x, axis=-1) if smoothing else own
    return total - target, (logits, label, total)


def _backward(smoothing, kept, gradient):
    logits, label, total = kept
    classes = logits.shape[-1]
    share = jnp.exp(logits.astype(jnp.float32) - total[..., None])
    target = jax.nn.one_hot(label, classes) * (1 - smoothing) + smoothing / classes
    return ((share - target) * gradient[..., None]).astype(logits.dtype), None


cross_entropy.defvjp(_forward, _backward)
