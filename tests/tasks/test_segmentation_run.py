"""A run of a segmenter: trained, measured, resumed, exported with its running statistics."""

import shutil

import jax
import numpy as np
import pytest
from small_segmenter import config

from vlx import cli, weights
from vlx.config import build, to_dict
from vlx.evaluate import build_evaluators
from vlx.interop import official
from vlx.tasks import whole
from vlx.train.checkpoint import FOLDER, Checkpoints
from vlx.train.config import RunConfig
from vlx.train.log import Logger, read_metrics
from vlx.train.loop import train
from vlx.train.partition import flatten
from vlx.train.setup import Setup, resolved

from tiny_run import bits

GIVEN = {
    "task": "segmentation",
    "steps": 4,
    "model": to_dict(config(classes=9)),
    "loss": {"statistics_group": 4},
    "data": {"source": "shapes", "about": "label_maps", "threads": 0, "flip": True},
    "batch": {"size": 8, "micro_batches": 2},
    "optimizer": {"lr": 1e-2},
    "evaluate": {"every": 4, "batch_size": 8, "examples": 3},
    "checkpoint": {"every": 2},
    "log": {"every": 1, "tensorboard": False},
}


def go(workdir) -> Setup:
    """A run of four steps on two devices, or what is left of it."""
    c = resolved(build(RunConfig, GIVEN))
    cli.prepare_folder(workdir, c)
    setup = Setup(c, workdir, devices=jax.devices()[:2])
    setup.check()
    assert train(setup, build_evaluators(setup), Logger(workdir, c.log, c.steps)) == 0
    return setup


def last_state(setup: Setup):
    checkpoints = Checkpoints(setup.workdir, setup.config.checkpoint, read_only=True)
    return checkpoints.restore(checkpoints.find(), setup.program.abstract_state)[0]


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Setup:
    return go(tmp_path_factory.mktemp("maps") / "run")


def test_every_term_and_measure_is_logged(done):
    lines = read_metrics(done.workdir / "metrics.jsonl")
    assert {"pixels", "auxiliary"} <= lines[0].keys()
    measured = [x for line in lines for x in line if x.startswith("segmentation/")]
    assert sorted(measured) == [
        f"segmentation/{name}" for name in ("mean_accuracy", "mean_iou", "pixel_accuracy")
    ]


def test_a_resumed_run_ends_alike(done, tmp_path):
    """Running statistics too; the second half is made anew."""
    shutil.copytree(done.workdir, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / FOLDER / "4")
    assert bits(last_state(go(tmp_path / "run"))) == bits(last_state(done))


def test_an_export_has_the_running_statistics(done, tmp_path):
    state = last_state(done)
    given = flatten(whole(state.params, state.buffers))
    official.write(tmp_path / "out", weights.read(done.workdir), "mmseg_upernet")
    back = official.read_whole(tmp_path / "out").params
    assert back.keys() == given.keys()
    for path, x in given.items():
        np.testing.assert_array_equal(back[path], x)
    assert np.any(back["head/fuse/norm/mean"] != 0)
