"""Trained models from wherever they lie: vlx's own folder, a run, an official file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlx.cli import read_run
from vlx.data.answer_vocabulary import FILE as ANSWERS
from vlx.data.answer_vocabulary import read_answers
from vlx.errors import UserError
from vlx.interop import native, official
from vlx.interop.pretrained import Pixels, Pretrained, float32
from vlx.parallel.mesh import MeshConfig
from vlx.train.checkpoint import FOLDER, Checkpoints
from vlx.train.partition import flatten
from vlx.train.setup import Setup
from vlx.train.state import averaged_params


def read(path: Path, format: str = "", model: Any = None) -> Pretrained:
    """The model at a path; of a run the latest checkpoint, averaged where it has averages.

    `format` and `model` are for official files, as `vlx.interop.official.read` takes them. Raises
    UserError for anything else.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder.")
    if not format and is_run(path):
        return read_checkpoint(path)
    if not format and path.is_dir() and native.is_native(path):
        return native.load(path)
    return official.read(path, format, model)


def is_run(path: Path) -> bool:
    """Whether the path is the folder of a run, which names its task."""
    config = path / "config.json"
    if not config.is_file():
        return False
    try:
        return "task" in json.loads(config.read_text()) or (path / FOLDER).is_dir()
    except ValueError:
        return False  # whoever reads it next says what is wrong with it


def read_checkpoint(workdir: Path, step: int | str = "latest") -> Pretrained:
    """The model of a run at a step, by default the latest."""
    config = read_run(workdir)
    # On the devices that there are, whatever it was trained on.
    setup = Setup(replace(config, mesh=MeshConfig()), workdir)
    checkpoints = Checkpoints(workdir, config.checkpoint, read_only=True)
    state, _ = checkpoints.restore(checkpoints.find(step), setup.program.abstract_state)
    task, data = setup.task, config.data
    vocabulary, answers = workdir / "tokenizer", workdir / ANSWERS
    return Pretrained(
        task.model,
        float32(flatten(averaged_params(state, setup.program.partition))),
        Pixels(task.image_size, task.pixels, data.resize_mode, data.interpolation, data.eval_part),
        config.tokenizer if task.text_length else None,
        tuple(sorted(vocabulary.iterdir())) if vocabulary.is_dir() else (),
        read_answers(str(answers)).answers if answers.is_file() else (),
    )
