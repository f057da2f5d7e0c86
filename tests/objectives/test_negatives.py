"""Hard negatives: drawn from the right distribution, over the whole batch, on any mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.objectives.negatives import hard_negatives
from vlx.parallel.mesh import MeshConfig, make_mesh, place_rows

BATCH, SCALE = 8, jnp.float32(3)


def vectors(seed, batch=BATCH):
    x = jax.random.normal(jax.random.key(seed), (batch, 5))
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


ROWS, COLUMNS = vectors(0), vectors(1)
WEIGHT = jnp.ones(BATCH).at[2].set(0)


def shares(**how):
    """How often each column is drawn for each row: [B, B]."""
    keys = jax.random.split(jax.random.key(5), 20_000)
    draw = jax.jit(jax.vmap(lambda key: hard_negatives(key, ROWS, COLUMNS, SCALE, WEIGHT, **how)))
    drawn = np.asarray(draw(keys))
    return np.stack([np.bincount(column, minlength=BATCH) for column in drawn.T]) / len(keys)


@pytest.mark.parametrize("how", [{}, {"chunk": 3}, {"groups": 2}])
def test_draws_follow_the_softmax_of_the_others(how):
    logits = SCALE * ROWS @ COLUMNS.T
    number, size = np.arange(BATCH), BATCH // how.get("groups", 1)
    hidden = (number[:, None] == number) | (number == 2)
    hidden |= number[:, None] // size != number // size
    want = jax.nn.softmax(jnp.where(hidden, -jnp.inf, logits), axis=1)
    got = shares(**how)
    assert not got[hidden].any()
    np.testing.assert_allclose(got, want, atol=5 * (0.25 / 20_000) ** 0.5)


def test_every_mesh_draws_alike():
    key, rows, columns = jax.random.key(7), vectors(2, 32), vectors(3, 32)
    weight = jnp.ones(32)
    want = hard_negatives(key, rows, columns, SCALE, weight, chunk=10)
    mesh = make_mesh(MeshConfig(data=4, fsdp=2))
    placed = place_rows({"rows": rows, "columns": columns, "weight": weight}, mesh)
    with jax.set_mesh(mesh):
        got = jax.jit(
            lambda b: hard_negatives(key, b["rows"], b["columns"], SCALE, b["weight"], 10)
        )(placed)
    np.testing.assert_array_equal(got, want)


def test_shares_too_small_for_float32_are_still_drawn():
    """Where the official code's weights are all zero and its draw fails."""
    same = jnp.eye(4)
    got = hard_negatives(jax.random.key(0), same, same, jnp.float32(1e4), jnp.ones(4))
    assert (got != jnp.arange(4)).all()


def test_without_another_row_the_own_is_returned():
    alone = jnp.ones(3).at[1:].set(0)
    got = hard_negatives(jax.random.key(0), vectors(0, 3), vectors(1, 3), SCALE, alone)
    assert got[0] == 0


def test_memory_grows_with_the_batch_and_not_with_its_square():
    def temporary(batch):
        shapes = [jax.ShapeDtypeStruct((batch, 8), jnp.float32)] * 2
        weight = jax.ShapeDtypeStruct((batch,), jnp.float32)
        run = jax.jit(lambda a, b, w: hard_negatives(jax.random.key(0), a, b, SCALE, w))
        return run.lower(*shapes, weight).compile().memory_analysis().temp_size_in_bytes

    assert temporary(8192) < 2.5 * temporary(4096)


def test_groups_must_divide():
    with pytest.raises(ValueError, match="3 groups do not divide a batch of 8"):
        hard_negatives(jax.random.key(0), ROWS, COLUMNS, SCALE, WEIGHT, groups=3)
