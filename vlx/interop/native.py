"""vlx's own form of a trained model: a folder in the layout of the Hugging Face hub.

    config.json  model.safetensors  README.md  the vocabulary's files  answers.txt

Tensors have vlx's parameter paths as names. Only a model that chooses from answers has their list,
one a line.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import flax.linen as nn

import vlx
from vlx.config import build, to_dict
from vlx.data import TokenizerConfig
from vlx.data.answer_vocabulary import FILE as ANSWERS
from vlx.data.answer_vocabulary import read_answers
from vlx.errors import UserError
from vlx.interop.card import card
from vlx.interop.files import read_tensors, write_tensors
from vlx.interop.pretrained import Pixels, Pretrained, check_params
from vlx.models import build_model, name_of

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
LIBRARY = "vlx"  # says in config.json that the folder is of this form
KEYS = {"library", "version", "model", "config", "pixels", "tokenizer", "tokenizer_files"}


def is_native(path: Path) -> bool:
    """Whether a folder has the form that `save` writes."""
    config = path / CONFIG
    return config.is_file() and _read_json(config).get("library") == LIBRARY


def save(folder: Path, pretrained: Pretrained) -> None:
    """Writes all or nothing; parameters, config, vocabulary, answers and a model card.

    Raises UserError if the folder exists with something in it, or cannot be written.
    """
    p = pretrained
    config = {
        "library": LIBRARY,
        "version": vlx.__version__,
        "model": name_of(p.model),
        "config": to_dict(p.model.config),
        "pixels": to_dict(p.pixels),
        "tokenizer": None if p.tokenizer is None else to_dict(p.tokenizer) | {"path": ""},
        "tokenizer_files": [path.name for path in p.vocabulary],
    }
    check_params(p.model, p.params, "What is to be saved")

    def fill(draft: Path) -> None:
        (draft / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        write_tensors(draft / WEIGHTS, p.params, {"format": "vlx"})
        for path in p.vocabulary:
            shutil.copyfile(path, draft / path.name)
        if p.answers:
            lines = "".join(f"{answer}\n" for answer in p.answers)
            (draft / ANSWERS).write_text(lines, encoding="utf-8")
        (draft / CARD).write_text(card(p, folder.resolve().name))

    write_folder(folder, fill)


def load(folder: Path) -> Pretrained:
    """What `save` wrote.

    Raises UserError for a damaged file, a missing one, or a config that names files elsewhere.
    """
    path = folder / CONFIG
    given = _read_json(path)
    missing = sorted(KEYS - given.keys())
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}; it is not vlx's, or was cut.")
    model = build_model(given["model"], given["config"], f"{path}: config")
    params = read_tensors(folder / WEIGHTS)
    check_params(model, params, folder / WEIGHTS)
    tokenizer = given["tokenizer"]
    if tokenizer is not None:
        tokenizer = build(TokenizerConfig, tokenizer | {"path": ""}, f"{path}: tokenizer")
    return Pretrained(
        model,
        params,
        build(Pixels, given["pixels"], f"{path}: pixels"),
        tokenizer,
        tuple(_inside(folder, given["tokenizer_files"])),
        _read_answers(folder, model),
    )


def write_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """A new folder that `fill(draft)` fills elsewhere first, so that it is whole once it is there.

    Raises UserError if the folder has something in it, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already; remove it, or give another --output.")
    draft = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        draft.chmod(0o755)  # what mkdtemp makes is closed to others
        fill(draft)
        os.replace(draft, folder)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written: {error.strerror or error}. Give another --output."
        ) from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def _read_answers(folder: Path, model: nn.Module) -> tuple[str, ...]:
    if not (folder / ANSWERS).is_file():
        return ()
    answers = read_answers(str(folder / ANSWERS)).answers
    if len(answers) != model.config.answers:
        raise UserError(
            f"{folder / ANSWERS} has {len(answers)} answers, the model {model.config.answers}; "
            "copy the whole folder again."
        )
    return answers


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path.parent} holds no {path.name}: it is no folder of a trained model.")
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}. Copy it again.") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold settings by name, not a {type(value).__name__}.")
    return value


def _inside(folder: Path, names: Iterable[str]) -> list[Path]:
    """The named files, which must lie in the folder itself."""
    paths = []
    for name in names:
        if not isinstance(name, str) or name in ("", ".", "..") or Path(name).name != name:
            raise UserError(
                f"{folder / CONFIG} names the vocabulary {name!r}; only files of the folder itself "
                "are read. Do not use this folder unless you know who made it."
            )
        if not (folder / name).is_file():
            raise UserError(f"{folder} lacks its vocabulary {name}; copy the whole folder again.")
        paths.append(folder / name)
    return paths
