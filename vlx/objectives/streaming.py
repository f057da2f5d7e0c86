"""The losses of `contrastive.py` for batches whose B x B similarities fit nowhere.

A device compares its own rows with all columns, a chunk at a time; the backward pass computes each
chunk again. Memory grows with B, not with its square. The columns are gathered once, or travel
from device to device (`exchange="ring"`), so that a device holds only two shares of them.

Letters: B batch, b rows of a device, c columns of a chunk, D width.
"""

from collections.abc import Callable
from functools import partial

import chex
import jax
import jax.numpy as jnp

from vlx.objectives.contrastive import DIRECTIONS, HIDDEN
from vlx.objectives.ranks import Term
from vlx.parallel import collectives

Array = jax.Array

EXCHANGES = ("gather", "ring")


def contrastive(
    image: Array,
    text: Array,
    scale: Array,
    weight: Array,
    directions: str = "mean",
    chunk: int = 512,
    exchange: str = "gather",
) -> Term:
    """As `vlx.objectives.contrastive.contrastive`, without a bias, which softmax ignores."""
    chex.assert_equal_shape([image, text])

    def loss(rows, scale):
        image, text, weight = rows
        hidden = jnp.where(weight > 0, 0.0, HIDDEN).astype(image.dtype)

        def block(row_lse, columns):
            """Adds a chunk to the rows' sums; its columns' sums are over this device's rows."""
            text, hidden_column = columns
            logits = scale * _products(image, text)
            by_row = jax.nn.logsumexp(logits + hidden_column, axis=1)
            by_column = jax.nn.logsumexp(logits + hidden[:, None], axis=0)
            return jnp.logaddexp(row_lse, by_row), by_column

        start = HIDDEN + 0 * hidden  # like the rows in every respect, for the loop's sake
        stream = partial(_stream, block, chunk=chunk, fill=(0.0, HIDDEN))
        if exchange == "ring":
            row_lse, column_lse = _around(stream, start, (text, hidden))
        else:
            row_lse, column_lse = stream(start, collectives.gather((text, hidden)))
            column_lse = collectives.own_rows(collectives.log_sum_exp(column_lse), len(image))
        own = scale * jnp.sum(image * text, axis=1)
        return jnp.sum(weight * (row_lse + column_lse - 2 * own))

    rows = image, text, weight
    total = collectives.sum_over_devices(loss, rows, jnp.reshape(scale, ()))
    return DIRECTIONS[directions] * total, jnp.sum(weight)


def sigmoid(
    image: Array,
    text: Array,
    scale: Array,
    weight: Array,
    bias: Array,
    chunk: int = 512,
    exchange: str = "gather",
) -> Term:
    """As `vlx.objectives.contrastive.sigmoid`: every pair is its own yes or no."""
    chex.assert_equal_shape([image, text])

    def loss(rows, shared):
        (image, text, weight), (scale, bias) = rows, shared

        def block(total, columns):
            """Adds the pairs of a chunk as if none belonged together; own pairs come after."""
            text, weight_column = columns
            logits = scale * _products(image, text) + bias
            pairs = -jax.nn.log_sigmoid(-logits) * weight[:, None] * weight_column
            return total + jnp.sum(pairs), 0 * weight_column

        stream = partial(_stream, block, chunk=chunk, fill=(0.0, 0.0))
        start = jnp.sum(0 * weight)
        if exchange == "ring":
            total, _ = _around(stream, start, (text, weight))
        else:
            total, _ = stream(start, collectives.gather((text, weight)))
        own = scale * jnp.sum(image * text, axis=1) + bias
        # log_sigmoid(-x) = log_sigmoid(x) - x: what changes for a pair that belongs together.
        return total - jnp.sum(own * weight**2)

    shared = jnp.reshape(scale, ()), jnp.reshape(bias, ())
    total = collectives.sum_over_devices(loss, (image, text, weight), shared)
    return total, jnp.sum(weight)


def _products(rows: Array, columns: Array) -> Array:
    return jnp.einsum("bD,cD->bc", rows, columns, precision="highest")


def _stream(block: Callable, carry, columns: tuple, chunk: int, fill: tuple):
    """Runs `block(carry, chunk of columns)` over all chunks; the carry, and the outputs [B].

    A last chunk that is not full is filled up with columns of the values `fill`.
    """
    size = len(columns[0])
    chunk = min(chunk, size)
    missing = -size % chunk

    def cut(x, value):
        rest = [(0, 0)] * (x.ndim - 1)
        x = jnp.pad(x, [(0, missing), *rest], constant_values=value)
        return x.reshape(-1, chunk, *x.shape[1:])

    chunks = tuple(cut(x, value) for x, value in zip(columns, fill, strict=True))
    carry, outputs = jax.lax.scan(jax.checkpoint(block, prevent_cse=False), carry, chunks)
    return carry, outputs.reshape(-1)[:size]


def _around(stream: Callable, carry, columns: tuple):
    """As `stream` over the columns of all devices, which travel around and come home.

    The columns' outputs travel with them and are combined as log-sums on the way.
    """

    def step(state, _):
        carry, columns, outputs = state
        carry, more = stream(carry, columns)
        columns, outputs = collectives.rotate((columns, jnp.logaddexp(outputs, more)))
        return (carry, columns, outputs), None

    start = carry, columns, HIDDEN + 0 * columns[1]
    (carry, _, outputs), _ = jax.lax.scan(step, start, length=collectives.devices())
    return carry, outputs
