"""Hard negatives: other examples of the global batch that a model takes for the right one.

Letters: B batch, b rows of a device, c columns of a chunk, D width.
"""

import chex
import jax
import jax.numpy as jnp

from vlx.objectives.contrastive import HIDDEN
from vlx.parallel import collectives

Array = jax.Array


def hard_negatives(
    key: Array,
    rows: Array,
    columns: Array,
    scale: Array,
    weight: Array,
    chunk: int = 512,
    groups: int = 1,
) -> Array:
    """For each row a column other than its own, drawn from the softmax of products: int32 [B].

    rows, columns: [B, D], unit length, of which those of equal number belong together; scale:
    inverse temperature; weight: [B], columns of weight 0 are not drawn. With groups the batch is so
    many equal blocks, and columns are of the row's own block. Where there is no other column the
    row's own number is returned.

    The draw is exact, also where float32 has no share left for the others: it takes the largest of
    logit plus Gumbel noise. It follows from key, row and chunk, on any number of devices, and the
    B x B logits are never held.
    """
    chex.assert_equal_shape([rows, columns])
    rows, columns, scale = jax.lax.stop_gradient((rows, columns, scale))
    size, number = len(columns), jnp.arange(len(columns), dtype=jnp.int32)
    if size % groups:
        raise ValueError(f"{groups} groups do not divide a batch of {size}.")
    block_size = size // groups
    chunk = min(chunk, size)
    missing = -size % chunk

    def draw(local, shared):
        (rows, number, columns, weight), (key, scale) = local, shared
        columns, others, weight = collectives.gather((columns, number, weight))
        keys = jax.vmap(lambda n: jax.random.fold_in(key, n))(number)

        def block(best, piece):
            top, choice = best
            columns, others, weight, first = piece
            noise = jax.vmap(lambda k: jax.random.gumbel(jax.random.fold_in(k, first), (chunk,)))
            logits = scale * jnp.einsum("bD,cD->bc", rows, columns, precision="highest")
            own = number[:, None]
            allowed = (weight > 0) & (others != own) & (others // block_size == own // block_size)
            value = jnp.where(allowed, logits + noise(keys), HIDDEN)
            place = jnp.argmax(value, axis=1)
            value = jnp.take_along_axis(value, place[:, None], axis=1)[:, 0]
            better = value > top
            return (jnp.where(better, value, top), jnp.where(better, others[place], choice)), None

        def cut(x):
            x = jnp.pad(x, [(0, missing), *[(0, 0)] * (x.ndim - 1)])  # filled up with weight 0
            return x.reshape(-1, chunk, *x.shape[1:])

        pieces = *map(cut, (columns, others, weight)), jnp.arange(0, size, chunk)
        start = jnp.full_like(rows[:, 0], HIDDEN), number
        (_, choice), _ = jax.lax.scan(block, start, pieces)
        return choice

    local = rows, number, columns, weight
    return collectives.map_rows(draw, local, (key, jnp.reshape(scale, ())))
