"""Runs on the built-in world whose evaluators keep answers, and a visual tokenizer's."""

from pathlib import Path

from vlx import cli
from vlx.config import build
from vlx.evaluate import build_evaluators
from vlx.evaluate.results import write
from vlx.train.config import RunConfig
from vlx.train.setup import Setup, resolved

MODEL = {
    "preset": "tiny",
    "image_size": [36, 48],
    "patch": 12,
    "vocabulary": 128,
    "text_length": 12,
    "longest": 14,
    "encoder": {"width": 12, "layers": 1, "heads": 2, "hidden": 20, "pair_layers": 1},
}


def measured(folder: Path, about: str, loss: str, seed: int = 0) -> Path:
    """The folder of a run that answers; measured before it has learned anything."""
    model = MODEL | ({"answers": 32} if loss == "answers" else {})
    setup = _setup(
        folder,
        task="vlmo",
        seed=seed,
        model=model,
        loss={loss: 1.0},
        data={"source": "shapes", "about": about, "threads": 0, "resize_mode": "squash"},
        tokenizer={"vocab_size": 128, "length": 12, "captions": 64},
    )
    return _measure(setup)


def tokenizer(folder: Path) -> Path:
    """The folder of a visual tokenizer's run; measured before it has learned anything."""
    setup = _setup(
        folder,
        task="dvae",
        model={"preset": "tiny", "image_size": 32, "width": 4, "blocks": 1, "codes": 11},
        data={"source": "shapes", "threads": 0},
    )
    return _measure(setup)


def _measure(setup: Setup) -> Path:
    """With fresh parameters."""
    params = setup.new_state().params
    results = {name: measure(params) for name, measure in build_evaluators(setup).items()}
    write(setup.workdir, 0, "val", results)
    return setup.workdir


def _setup(folder: Path, **values) -> Setup:
    given = {
        "steps": 2,
        "batch": {"size": 8},
        "evaluate": {"batch_size": 8, "examples": 16},
    }
    config = resolved(build(RunConfig, given | values))
    cli.prepare_folder(folder, config)
    setup = Setup(config, folder)
    setup.check()
    return setup
