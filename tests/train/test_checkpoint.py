"""Checkpoints: what is kept, and that nothing of it changes."""

import errno

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.errors import UserError
from vlx.parallel.mesh import MeshConfig, make_mesh, replicated
from vlx.train.checkpoint import FOLDER, PIECE, Checkpoints, _disk_error
from vlx.train.config import CheckpointConfig

STATE = {
    "step": jnp.int32(5),
    "params": {"kernel": jnp.arange(15, dtype=jnp.float32).reshape(5, 3) / 7},
    "moments": {"kernel": jnp.full((5, 3), 1 / 3, jnp.bfloat16)},
    "empty": {},
}


def shapes(state):
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
    )


def saved(folder, steps, metrics=(), **config):
    """The steps that are left when those given were saved, by one process or, for a list of
    lists, by one after the other."""
    metrics = dict(metrics)
    for some in steps if isinstance(steps[0], list) else [steps]:
        checkpoints = Checkpoints(folder, CheckpointConfig(**config))
        for step in some:
            checkpoints.save(step, STATE, 7 * step, metrics.get(step, {}))
        checkpoints.close()
    return Checkpoints(folder, CheckpointConfig(**config), read_only=True).steps


def test_the_latest_are_kept(tmp_path):
    assert saved(tmp_path, range(1, 6), keep=2) == [4, 5]


def test_every_so_many_are_kept_too(tmp_path):
    assert saved(tmp_path, range(1, 9), keep=1, keep_every=3) == [3, 6, 8]


RECALL = {1: 0.5, 2: 0.9, 3: 0.1, 4: float("nan"), 5: 0.3, 6: 0.4}


@pytest.mark.parametrize(("mode", "best"), [("max", 2), ("min", 3)])
@pytest.mark.parametrize("steps", [[*RECALL, 7], [[1, 2, 3], [4, 5], [6, 7]]], ids=["one", "three"])
def test_the_best_is_kept_whatever_number_of_processes_ran(tmp_path, mode, best, steps):
    metrics = {step: {"recall": value} for step, value in RECALL.items()}  # none at step 7
    kept = saved(tmp_path, steps, metrics, keep=1, best="recall", best_mode=mode)
    assert kept == [best, 7]


def test_latest_best_and_every_so_many_are_kept_together(tmp_path):
    metrics = {step: {"recall": value} for step, value in RECALL.items()}
    assert saved(tmp_path, [*RECALL, 7], metrics, keep=1, keep_every=5, best="recall") == [2, 5, 7]


def test_a_best_that_is_no_metric_is_told_when_the_state_is_safe(tmp_path):
    checkpoints = Checkpoints(tmp_path, CheckpointConfig(best="recal"))
    with pytest.raises(UserError, match=r"best='recal' is no metric; did you mean 'recall'\?"):
        checkpoints.save(3, STATE, 0, {"recall": 0.5})
    checkpoints.close()
    assert Checkpoints(tmp_path, CheckpointConfig(), read_only=True).latest == 3


def test_a_step_is_saved_once(tmp_path):
    assert saved(tmp_path, [3, 3]) == [3]


def test_values_and_dtypes_come_back_exactly(tmp_path):
    saved(tmp_path, [3])
    checkpoints = Checkpoints(tmp_path, CheckpointConfig(), read_only=True)
    state, position = checkpoints.restore(checkpoints.find(), shapes(STATE))
    assert position == 21
    assert jax.tree.structure(state) == jax.tree.structure(STATE)
    for got, want in zip(jax.tree.leaves(state), jax.tree.leaves(STATE), strict=True):
        assert got.dtype == want.dtype
        assert np.asarray(got).tobytes() == np.asarray(want).tobytes()


def test_what_eight_devices_hold_is_there_for_two(tmp_path):
    """Small arrays are written whole, large ones by all devices that hold them."""
    rows = np.arange(8 * PIECE // 4, dtype=np.float32).reshape(8, -1)
    want = {"small": rows[:, :3], "large": rows}

    def over(devices: int) -> dict:
        mesh = make_mesh(MeshConfig(), jax.devices()[:devices])
        return jax.device_put(want, replicated(mesh))

    checkpoints = Checkpoints(tmp_path, CheckpointConfig())
    checkpoints.save(1, over(8), 8, {})
    checkpoints.wait()
    like = shapes(over(2))
    state, _ = checkpoints.restore(1, like)
    checkpoints.close()
    for name, x in state.items():
        assert x.sharding == like[name].sharding
        np.testing.assert_array_equal(x, want[name])


def test_what_is_saved_is_the_state_of_then(tmp_path):
    """Training overwrites the memory of the state while the checkpoint is being written."""
    advance = jax.jit(lambda x: x * 1.5 + 1, donate_argnums=0)
    x = jnp.arange(1 << 20, dtype=jnp.float32)
    want = np.array(x)
    checkpoints = Checkpoints(tmp_path, CheckpointConfig())
    like = shapes({"x": x})
    checkpoints.save(1, {"x": x}, 0, {})
    for _ in range(5):
        x = advance(x)
    x.block_until_ready()
    checkpoints.wait()
    np.testing.assert_array_equal(checkpoints.restore(1, like)[0]["x"], want)
    checkpoints.close()


def test_arrays_of_another_architecture_are_listed(tmp_path):
    saved(tmp_path, [3])
    other = STATE | {"params": {"kernel": jnp.zeros((5, 2)), "bias": jnp.zeros(2)}}
    checkpoints = Checkpoints(tmp_path, CheckpointConfig(), read_only=True)
    with pytest.raises(UserError) as error:
        checkpoints.restore(3, shapes(other))
    assert "kernel: checkpoint (5, 3), config (5, 2)" in str(error.value)
    assert "bias: checkpoint none, config (2,)" in str(error.value)


def test_unknown_steps_are_refused_with_those_there_are(tmp_path):
    saved(tmp_path, [3, 4])
    checkpoints = Checkpoints(tmp_path, CheckpointConfig(), read_only=True)
    with pytest.raises(UserError, match=r"has no step 5; there are \[3, 4\]"):
        checkpoints.find(5)


def test_the_best_step_is_found_by_its_name(tmp_path):
    saved(tmp_path, [*RECALL, 7], {n: {"recall": x} for n, x in RECALL.items()}, best="recall")
    best = CheckpointConfig(best="recall")
    assert Checkpoints(tmp_path, best, read_only=True).find("best") == 2
    with pytest.raises(UserError, match=r"knows no best step: checkpoint\.best=''"):
        Checkpoints(tmp_path, CheckpointConfig(), read_only=True).find("best")


def test_a_run_without_checkpoints_is_told(tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint yet"):
        Checkpoints(tmp_path, CheckpointConfig(), read_only=True).find()


def test_a_save_that_was_cut_off_is_no_checkpoint(tmp_path):
    saved(tmp_path, [3])
    torn = tmp_path / FOLDER / "4.orbax-checkpoint-tmp"
    (torn / "state").mkdir(parents=True)
    checkpoints = Checkpoints(tmp_path, CheckpointConfig())
    assert checkpoints.latest == 3
    checkpoints.save(4, STATE, 0, {})
    checkpoints.close()
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == ["3", "4"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written: Not a directory"):
        Checkpoints(tmp_path / "file", CheckpointConfig())


TENSORSTORE = (
    'RESOURCE_EXHAUSTED: Error writing "a/0.0" in OCDBT database at local file "/x/": Failed to '
    "write 2672996 bytes to file 4: No space left on device [os_error_code='28']"
)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError(TENSORSTORE)]
)
def test_a_full_disk_is_told_as_such(tmp_path, error):
    told = _disk_error(tmp_path, error)
    assert isinstance(told, UserError)
    assert "the disk is full. Free some space" in str(told)


def test_a_defect_stays_a_defect(tmp_path):
    error = ValueError("shapes differ")
    assert _disk_error(tmp_path, error) is error
