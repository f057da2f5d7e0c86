"""What is asked for again is neither traced nor compiled again."""

import jax
import jax.numpy as jnp

from vlx.parallel.compiled import compiled
from vlx.parallel.mesh import MeshConfig, batch_sharding, make_mesh

TRACED = []


def times(x, *, factor: int):
    TRACED.append(factor)
    return factor * x


def test_equal_questions_share_a_program_and_every_device_holds_its_results():
    mesh = make_mesh(MeshConfig())
    x = jax.device_put(jnp.arange(8.0), batch_sharding(mesh))
    for factor in (2, 3, 2, 3):
        result = compiled(times, mesh, factor=factor)(x)
        assert result.tolist() == [factor * n for n in range(8)]
        assert result.sharding.is_fully_replicated
    assert TRACED == [2, 3]
