"""How official code sees a batch that is spread over several processes ("ranks").

vlx computes one exact loss over the global batch. To compare with a published run, `ranks > 1`
cuts the batch into consecutive blocks and repeats what each process did with its own block.

Letters: R ranks, b examples a rank, B = R b.
"""

import jax
import jax.numpy as jnp

Array = jax.Array
Term = tuple[Array, Array]  # (sum over examples, count of examples)


def by_rank(x: Array, ranks: int) -> Array:
    """Cuts the batch into blocks: [B, ...] -> [R, b, ...]."""
    if x.shape[0] % ranks:
        raise ValueError(f"{ranks} ranks do not divide a batch of {x.shape[0]}.")
    return x.reshape(ranks, x.shape[0] // ranks, *x.shape[1:])


def gather(x: Array, ranks: int, gradient: bool) -> Array:
    """What each rank holds after gathering the blocks of all: [B, ...] -> [R, B, ...].

    Without `gradient` the rows of other ranks are constants to a rank, its own stay live.
    """
    if gradient:
        return jnp.broadcast_to(x, (ranks, *x.shape))
    own = jnp.repeat(jnp.eye(ranks, dtype=bool), x.shape[0] // ranks, axis=1)  # RB
    own = own.reshape(*own.shape, *[1] * (x.ndim - 1))
    return jnp.where(own, x, jax.lax.stop_gradient(x))


def own_share(x: Array, ranks: int) -> Array:
    """x, through which a gradient of 1 / R flows: [B, ...] -> [B, ...].

    Where every rank computes the same loss of all rows, each sends a gradient to its own rows only,
    and the mean over ranks is taken, rows get an R-th of the true gradient.
    """
    return x if ranks == 1 else x / ranks + jax.lax.stop_gradient(x - x / ranks)


def means(loss: Array, weight: Array, ranks: int) -> Array:
    """Each rank's weighted mean: equal shapes [B, ...] -> [R]; zero where a rank has no weight."""
    loss, weight = by_rank(loss, ranks), by_rank(weight, ranks)
    axes = tuple(range(1, loss.ndim))
    count = jnp.sum(weight, axis=axes)
    return jnp.sum(loss * weight, axis=axes) / jnp.where(count > 0, count, 1)


def reduce(loss: Array, weight: Array, ranks: int = 1) -> Term:
    """(sum, count) of weighted losses of any shape; with ranks, of the ranks' means."""
    if ranks > 1:
        return jnp.sum(means(loss, weight, ranks)), jnp.float32(ranks)
    return jnp.sum(loss * weight), jnp.sum(weight)
