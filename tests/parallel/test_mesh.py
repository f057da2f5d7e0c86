"""Meshes of devices, and batches that fit them."""

import jax
import numpy as np
import pytest

from vlx.errors import UserError
from vlx.parallel.mesh import MeshConfig, batch_sharding, check_batch, make_mesh, place_whole


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        (MeshConfig(), (8, 1, 1)),
        (MeshConfig(fsdp=4), (2, 4, 1)),
        (MeshConfig(2, 2, 2), (2, 2, 2)),
        (MeshConfig(1, -1, 2), (1, 4, 2)),
    ],
)
def test_sizes_fill_the_devices(config, sizes):
    assert tuple(make_mesh(config).shape.values()) == sizes


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (MeshConfig(-1, -1), "positive, and at most one of them -1"),
        (MeshConfig(0), "positive, and at most one of them -1"),
        (MeshConfig(fsdp=3), "does not fit 8 devices; mesh.data=-1 with fsdp .* divisor of 8 fits"),
        (MeshConfig(2, 2, 1), "does not fit 8 devices; mesh.data=-1"),
        (MeshConfig(16), "does not fit 8 devices; mesh.data=-1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_a_remedy(config, message):
    with pytest.raises(UserError, match=message):
        make_mesh(config)


def test_rows_lie_on_all_devices_but_those_of_one_tensor():
    mesh = make_mesh(MeshConfig(2, 2, 2))
    x = jax.device_put(np.arange(12), batch_sharding(mesh))
    rows = [tuple(s.data.tolist()) for s in x.addressable_shards]
    assert sorted(rows) == sorted(2 * [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)])


def test_what_every_process_holds_lies_as_it_is_asked_to():
    sharding = batch_sharding(make_mesh(MeshConfig()))
    tree = {"x": np.arange(16.0).reshape(8, 2), "y": np.full(24, np.nan)}
    placed = place_whole(tree, sharding)
    assert all(x.sharding == sharding for x in placed.values())
    jax.tree.map(np.testing.assert_array_equal, dict(placed), tree)


@pytest.mark.parametrize(
    ("size", "pieces", "message"),
    [
        (12, 1, "batch.size=12 does not divide over 8 devices; 8 or 16 would"),
        (5, 1, "batch.size=5 does not divide over 8 devices; 8 would"),
        (0, 1, "batch.size=0 does not divide over 8 devices; 8 would"),
        (24, 2, "batch.size=24 does not divide over 8 devices and 2 micro-batches; 16 or 32 would"),
    ],
)
def test_batches_that_do_not_divide_are_refused_with_the_next_sizes(size, pieces, message):
    with pytest.raises(UserError, match=message):
        check_batch(size, pieces, make_mesh(MeshConfig()))


def test_tensor_devices_share_their_rows():
    check_batch(4, 2, make_mesh(MeshConfig(2, 1, 4)))
