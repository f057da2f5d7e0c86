"""A run of a few seconds: a CoCa of a few thousand parameters on a handful of noisy squares."""

import os
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from data.pictures import encoded, picture

from vlx import cli
from vlx.config import build
from vlx.evaluate import build_evaluators
from vlx.train.checkpoint import Checkpoints
from vlx.train.config import RunConfig
from vlx.train.log import TIMINGS, Logger, read_metrics
from vlx.train.loop import train
from vlx.train.setup import Setup, resolved

TOWER = {"width": 16, "layers": 1, "heads": 2, "hidden": 24}
MODEL = {
    "preset": "tiny",
    "image_size": 16,
    "vocabulary": 64,
    "text_length": 12,
    "vision": {"encoder": TOWER, "pooler": {"heads": 2, "queries": 3}},
    "text": {"encoder": TOWER},
    "decoder": {"encoder": TOWER},
    "embedding": 16,
    "compute": {"scan": False},
}
NAMES = ("frog", "ship", "horse", "cat", "dog")


def write_pictures(folder: Path) -> Path:
    """Parquet files: 29 labelled pictures to train on, 13 to measure."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, first, count in (("train", 0, 29), ("val", 100, 13)):
        numbers = range(first, first + count)
        columns = {
            "image": [encoded(picture(n, 19, 17)) for n in numbers],
            "label": pa.array([n % 5 for n in numbers], pa.int32()),
            "text": [f"picture {n} of a {NAMES[n % 5]}" for n in numbers],
        }
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")
    (folder / "classnames.txt").write_text("\n".join(NAMES) + "\n")
    return folder


def settings(pictures: Path, **changes) -> dict:
    """A recipe's values; `changes` are groups whose values are added."""
    given = {
        "task": "coca",
        "steps": 9,
        "model": MODEL,
        "data": {"source": "parquet", "path": str(pictures), "threads": 0},
        "tokenizer": {"vocab_size": 64, "length": 12},
        "batch": {"size": 8},
        "optimizer": {"lr": 1e-2, "ema": 0.9, "weight_decay": 0.1},
        "evaluate": {"every": 4, "batch_size": 8},
        "checkpoint": {"every": 6},
        "log": {"every": 1, "tensorboard": False},
    }
    for name, value in changes.items():
        given[name] = given.get(name, {}) | value if isinstance(value, dict) else value
    return given


def write_recipe(folder: Path, values: dict) -> Path:
    """A recipe file with these values."""
    path = folder / "recipe.py"
    path.write_text(
        "from ml_collections import ConfigDict\n\n\n"
        f"def get_config():\n    return ConfigDict({values!r})\n"
    )
    return path


def config(pictures: Path, **changes) -> RunConfig:
    return resolved(build(RunConfig, settings(pictures, **changes)))


def ready(workdir: Path, c: RunConfig, devices: int = 2) -> Setup:
    """A run on so many devices."""
    return Setup(c, workdir, devices=jax.devices()[:devices])


def fresh_params(setup: Setup):
    """Parameters of a run before its first step, to be read only: shared by all alike runs."""
    alike = setup.task, setup.mesh, setup.config.seed
    if alike not in _FRESH:
        _FRESH[alike] = setup.new_state().params
    return _FRESH[alike]


_FRESH: dict = {}


def run(setup: Setup, evaluators=None, logger=Logger) -> int:
    """Trains as train.py does; the exit code."""
    workdir, c = setup.workdir, setup.config
    cli.prepare_folder(workdir, c)
    setup.check()
    evaluators = build_evaluators(setup) if evaluators is None else evaluators
    return train(setup, evaluators, logger(workdir, c.log, c.steps))


def lines(workdir: Path) -> list[dict]:
    """Everything that was logged but timings."""
    read = read_metrics(workdir / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k not in TIMINGS} for line in read]


def bits(tree) -> list[bytes]:
    return [np.asarray(x).tobytes() for x in jax.tree.leaves(tree)]


def state_of(setup: Setup):
    """The newest state of a run, and its data position."""
    checkpoints = Checkpoints(setup.workdir, setup.config.checkpoint, read_only=True)
    return checkpoints.restore(checkpoints.find(), setup.program.abstract_state)


class Stopping(Logger):
    """Sends this process a signal while a step is in progress."""

    def __init__(self, *arguments, at: int, number: int):
        super().__init__(*arguments)
        self._at, self._number = at, number

    def advance(self, step: int) -> None:
        super().advance(step)
        if step == self._at:
            os.kill(os.getpid(), self._number)
