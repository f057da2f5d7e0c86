"""Streamed losses: the plain ones, in memory that grows with the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.objectives import contrastive as plain
from vlx.objectives import streaming
from vlx.parallel.mesh import MeshConfig, batch_sharding, make_mesh

EXCHANGES = pytest.mark.parametrize("exchange", streaming.EXCHANGES)
DEVICES = pytest.mark.parametrize("devices", [1, 8])
FORMS = pytest.mark.parametrize("form", ["contrastive", "sigmoid"])


def meshed(devices: int):
    return make_mesh(MeshConfig(fsdp=2 if devices == 8 else 1), jax.devices()[:devices])


def pairs(batch: int, width: int):
    keys = jax.random.split(jax.random.key(0))
    rows = [jax.random.normal(key, (batch, width), jnp.float64) for key in keys]
    return [x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in rows]


def losses(form: str):
    """The plain loss and the streamed one, of (image, text, scale, weight)."""
    if form == "contrastive":
        return plain.contrastive, streaming.contrastive
    bias = -3.0
    return (
        lambda *x: plain.sigmoid(*x, bias),
        lambda *x, **how: streaming.sigmoid(*x, bias, **how),
    )


@DEVICES
@EXCHANGES
@FORMS
def test_loss_and_gradients_are_exact(devices, exchange, form):
    """In float64, with padding, and with a chunk that divides nothing."""
    reference, streamed = losses(form)
    with jax.enable_x64(True):
        image, text = pairs(24, 7)
        scale, weight = jnp.float64(14.3), jnp.ones(24).at[jnp.array([5, 23])].set(0)
        args = (0, 1, 2)
        want = jax.value_and_grad(lambda *x: reference(*x, weight)[0], args)(image, text, scale)
        mesh = meshed(devices)
        with jax.set_mesh(mesh):
            image, text, weight = jax.device_put((image, text, weight), batch_sharding(mesh))
            got = jax.jit(
                jax.value_and_grad(
                    lambda *x: streamed(*x, weight, chunk=5, exchange=exchange)[0], args
                )
            )(image, text, scale)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-14)
    for a, b in zip(got[1], want[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13 * np.abs(b).max())


def compiled(devices: int, form: str, exchange: str, batch: int):
    _, streamed = losses(form)
    mesh = meshed(devices)
    rows = batch_sharding(mesh)
    x = jax.ShapeDtypeStruct((batch, 512), jnp.float32, sharding=rows)
    weight = jax.ShapeDtypeStruct((batch,), jnp.float32, sharding=rows)
    scale = jax.ShapeDtypeStruct((), jnp.float32)

    def loss(image, text, scale, weight):
        return streamed(image, text, scale, weight, exchange=exchange)[0]

    with jax.set_mesh(mesh):
        return jax.jit(jax.value_and_grad(loss, (0, 1, 2))).lower(x, x, scale, weight).compile()


@DEVICES
@EXCHANGES
@FORMS
def test_memory_of_a_large_batch(devices, exchange, form):
    """B = 32,768 at width 512: the plain similarities would take 4 GiB each time they are held."""
    small, large = (
        compiled(devices, form, exchange, batch).memory_analysis().temp_size_in_bytes
        for batch in (16384, 32768)
    )
    assert large < 350e6
    assert large < 2.2 * small


def test_one_tower_is_gathered():
    """One all-gather of vectors and one reduce-scatter back; what else travels is one row long."""
    text = compiled(8, "contrastive", "gather", 16384).as_text()
    wide = [line for line in text.splitlines() if " all-gather(" in line and "512]" in line]
    assert len(wide) == 1
    assert sum(" reduce-scatter(" in line for line in text.splitlines()) == 1
    assert not [line for line in text.splitlines() if " all-reduce(" in line and ",512]" in line]
