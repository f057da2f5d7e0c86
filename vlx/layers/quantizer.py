"""Vectors as the nearest of a few codes, which follow them by running averages, not by gradients.

Codes and vectors have unit length. Paper: VQ-KD of BEiT v2 (arXiv 2208.06366); k-means on the
sphere makes the first codes. What codes learn from is a sum over rows, so that it is the same on
any number of devices and in any pieces of a batch.

Letters: B batch, P places, E width of codes, V codes, N rows; R codebooks, each for consecutive
rows of the batch: one, unless what separate processes did is repeated.
"""

import jax
import jax.numpy as jnp
from flax import struct

from vlx.layers.attention import unit

Array = jax.Array

ROUNDING = 1e-6  # of squared distances; codes so equally far are equally near on any device


@struct.dataclass
class Quantized:
    """What vectors have become."""

    index: Array  # int32 [B, P]
    vectors: Array  # [B, P, E]: codes, whose gradients reach the vectors that they stand for
    error: Array  # [B, P]: mean square of what is lost; its gradient reaches the vectors


def nearest(z: Array, codes: Array) -> Array:
    """The first of the nearest codes: [..., E], [V, E] -> int32 [...]."""
    products = jnp.einsum("...E,VE->...V", z, codes, precision="highest")
    lengths = jnp.sum(jnp.square(z), axis=-1, keepdims=True) + jnp.sum(jnp.square(codes), axis=1)
    distance = lengths - 2 * products
    least = jnp.min(distance, axis=-1, keepdims=True)
    return jnp.argmax(distance <= least + ROUNDING, axis=-1).astype(jnp.int32)


def quantize(z: Array, codes: Array) -> Quantized:
    """z: [B, P, E], float32 of unit length; codes: [R, V, E], where R divides B."""
    z_by_book = z.reshape(len(codes), -1, *z.shape[1:])
    index = jax.vmap(nearest)(jax.lax.stop_gradient(z_by_book), codes)
    chosen = jax.vmap(lambda table, i: jnp.take(table, i, axis=0))(codes, index)
    chosen = jax.lax.stop_gradient(chosen.reshape(z.shape))
    return Quantized(
        index=index.reshape(z.shape[:-1]),
        vectors=z + jax.lax.stop_gradient(chosen - z),
        error=jnp.mean(jnp.square(chosen - z), axis=-1),
    )


def add_up(z: Array, index: Array, weight: Array, codes: int) -> tuple[Array, Array]:
    """How often each code was the nearest, and the sum of what it stood for: [V], [V, E].

    z: [..., E]; index: [...]; weight: [...], 0 for what does not count.
    """
    assigned = jax.nn.one_hot(index, codes) * weight[..., None]  # ...V
    axes = tuple(range(index.ndim))
    sums = jnp.tensordot(assigned, z, axes=(axes, axes), precision="highest")
    return jnp.sum(assigned, axis=axes), sums


def follow(
    codes: Array, usage: Array, counts: Array, sums: Array, decay: float
) -> tuple[Array, Array]:
    """Codes and their mean use a step, after a step with these counts and sums.

    codes: [R, V, E]; usage, counts: [V]; sums: [V, E]. A code without use stays where it is.
    """
    means = jnp.where(counts[:, None] > 0, unit(sums), codes)
    return unit(decay * codes + (1 - decay) * means), decay * usage + (1 - decay) * counts


def draw(rows: Array, noise: Array, number: int) -> Array:
    """The rows of least noise, again from the first where there are too few: [N, E] -> [number, E].

    noise: [N], infinite for rows that must not be drawn.
    """
    order = jnp.argsort(noise)
    real = jnp.maximum(jnp.sum(jnp.isfinite(noise)), 1)
    return rows[order[jnp.arange(number) % real]]


def kmeans(rows: Array, weight: Array, start: Array, rounds: int) -> tuple[Array, Array]:
    """Codes and how many rows each has, after so many rounds from `start` [V, E].

    rows: [N, E], of unit length; weight: [N]. A code without rows stays where it is.
    """

    def one_round(_, state):
        codes, _ = state
        counts, sums = add_up(rows, nearest(rows, codes), weight, len(codes))
        return jnp.where(counts[:, None] > 0, unit(sums), codes), counts

    return jax.lax.fori_loop(0, rounds, one_round, (start, jnp.zeros(len(start))))
