"""The loop: an interrupted run is the uninterrupted one, and every event has its place."""

import shutil
import signal
from functools import partial

import jax
import numpy as np
import pytest

from vlx.errors import DONE, INTERRUPTED, UserError
from vlx.train.log import read_metrics
from vlx.train.setup import Setup

from tiny_run import Stopping, bits, config, lines, ready, run, state_of, write_pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def calm(tmp_path_factory, pictures):
    """A run that nothing disturbed."""
    setup = ready(tmp_path_factory.mktemp("calm"), config(pictures))
    assert run(setup) == DONE
    return setup


@pytest.fixture(scope="module")
def calm_state(calm):
    """The last state of that run as bits, and where its data stand."""
    state, place = state_of(calm)
    return bits(state), place


@pytest.fixture
def fresh(tmp_path, pictures):
    """Makes runs in a folder of their own."""
    return lambda **changes: ready(tmp_path / "run", config(pictures, **changes))


@pytest.fixture
def assert_same(calm, calm_state):
    """Refuses a run that logged other numbers or ended in another state."""

    def check(run: Setup) -> None:
        assert lines(run.workdir) == lines(calm.workdir)
        state, place = state_of(run)
        assert (bits(state), place) == calm_state

    return check


@pytest.mark.parametrize(
    ("step", "number", "data"),
    [(1, signal.SIGTERM, {}), (7, signal.SIGINT, {"threads": 3, "prefetch": 0})],
    ids=["term", "interrupt-threads"],
)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(
    fresh, calm, assert_same, capfd, step, number, data
):
    stopped = fresh()
    assert run(stopped, logger=partial(Stopping, at=step, number=number)) == INTERRUPTED
    assert f"Stopped by a signal after step {step}" in capfd.readouterr().out
    assert int(state_of(stopped)[0].step) == step
    before = [line for line in lines(calm.workdir) if line["step"] <= step]
    assert lines(stopped.workdir) == before
    resumed = fresh(data=data)
    assert run(resumed) == DONE
    assert_same(resumed)


@pytest.mark.slow
def test_workers_change_nothing(fresh, assert_same):
    setup = fresh(data={"workers": 2})
    assert run(setup) == DONE
    assert_same(setup)


def test_lost_steps_are_done_again_from_the_last_checkpoint(fresh, calm, assert_same):
    """What a kill leaves: the checkpoint of step 6, and lines beyond it, the last one torn."""
    setup = fresh()
    shutil.copytree(calm.workdir, setup.workdir)
    shutil.rmtree(setup.workdir / "checkpoints" / "9")
    file = setup.workdir / "metrics.jsonl"
    file.write_text(file.read_text()[:-700])
    assert lines(setup.workdir)[-1]["step"] > 6
    assert run(setup) == DONE
    assert_same(setup)


def test_moments_may_wait_in_the_hosts_memory(fresh, calm, calm_state):
    """Offloaded and stopped once, the run is the same to the last bit."""
    setup = fresh(optimizer={"offload": True})
    assert run(setup, logger=partial(Stopping, at=7, number=signal.SIGTERM)) == INTERRUPTED
    assert run(setup) == DONE
    assert lines(setup.workdir) == lines(calm.workdir)
    state, _ = state_of(setup)
    assert {x.sharding.memory_kind for x in jax.tree.leaves(state.optimizer)} == {"pinned_host"}
    assert {x.sharding.memory_kind for x in jax.tree.leaves(state.params)} == {"device"}
    assert bits(state) == calm_state[0]


def test_a_finished_run_says_so_and_stays_as_it_is(calm, capsys):
    before = lines(calm.workdir)
    assert run(calm) == DONE
    assert "has finished all of its 9 steps" in capsys.readouterr().out
    assert lines(calm.workdir) == before


def test_every_term_rate_and_timing_is_logged(calm):
    line = read_metrics(calm.workdir / "metrics.jsonl")[0]
    assert set(line) == {
        "step", "loss", "contrastive", "captioning", "gradient_norm", "skipped", "learning_rate",
        "step_time", "images_per_second", "input_wait",
    }  # fmt: skip
    assert line["learning_rate"] == pytest.approx(1e-2)


@pytest.mark.parametrize("metric", ["retrieval/image_to_text_r1", "zero_shot/top1"])
def test_evaluations_come_when_they_are_due_and_after_the_last_step(calm, metric):
    assert [line["step"] for line in lines(calm.workdir) if metric in line] == [4, 8, 9]


def test_averaged_parameters_follow_the_trained_ones(calm):
    state, _ = state_of(calm)
    trained, _ = calm.program.partition.split(state.params)
    assert state.ema.keys() == trained.keys()
    assert any((state.ema[path] != x).any() for path, x in trained.items())


def test_a_line_is_on_disk_before_its_checkpoint(fresh):
    """So a checkpoint never lacks its lines; an evaluation stands between the two."""
    seen, setup = [], fresh(evaluate={"every": 6})

    def look(params, step):
        saved = [path.name for path in (setup.workdir / "checkpoints").iterdir()]
        assert lines(setup.workdir)[-1]["step"] == step
        seen.append((step, saved))
        return {}

    assert run(setup, {"look": look}) == DONE
    assert [step for step, _ in seen] == [6, 9]
    assert not any(name.startswith(str(step)) for step, saved in seen for name in saved)


def test_gradients_that_are_not_finite_change_nothing_and_end_the_run(fresh):
    """A first step of 1e30 leaves parameters from which every later loss overflows."""
    setup = fresh(optimizer={"lr": 1e30}, max_skipped=2, steps=20)
    with pytest.raises(UserError, match=r"not finite for 3 steps in a row \(max_skipped=2\)"):
        run(setup, {})
    skipped = [line["skipped"] for line in lines(setup.workdir)]
    good = skipped.count(0)
    assert skipped == [0.0] * good + [1.0, 2.0, 3.0]
    state, _ = state_of(setup)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.params))
    assert int(state.counters.skipped) == int(state.step) - good


def test_profile_captures_the_steps_that_it_names(fresh):
    setup = fresh(profile={"start": 1, "steps": 2}, steps=3)
    run(setup, {})
    assert list((setup.workdir / "profile").rglob("*.xplane.pb"))


def test_another_architecture_is_refused_by_its_arrays(calm, pictures):
    other = ready(calm.workdir, config(pictures, model={"embedding": 14}))
    with pytest.raises(UserError, match=r"cross/key/kernel: checkpoint \(1, 16, 2, 8\), config"):
        state_of(other)


def test_a_run_in_micro_batches_trains_and_says_what_they_cost(fresh, capsys):
    setup = fresh(steps=2, batch={"micro_batches": 2}, evaluate={"examples": 8})
    assert run(setup) == 0
    assert "2 micro-batches: each is embedded twice" in capsys.readouterr().out
    assert [line["step"] for line in lines(setup.workdir) if "loss" in line] == [1, 2]
