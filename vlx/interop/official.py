"""Models in other people's files: reading and writing them by the tables."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jax

from vlx.config import nearest
from vlx.errors import UserError
from vlx.interop import FORMATS, Format
from vlx.interop.description import ConfigFile, Description
from vlx.interop.files import find_weights, read_tensors, write_tensors
from vlx.interop.native import write_folder
from vlx.interop.pretrained import Pretrained, check_params, float32
from vlx.interop.table import to_official, to_vlx, with_computed
from vlx.models import MODELS, name_of, parameter_shapes


def read(path: Path, format: str = "", model: Any = None) -> Pretrained:
    """The model in a published file or folder, under vlx's paths; its vocabulary is not in it.

    `format` is a name in FORMATS, by default the one that knows the file's tensors. `model` is a
    model config, or the name of a preset, for files that come without a config; of formats whose
    tensors tell the model it says only what they leave open.
    """
    path = find_weights(path)
    state = read_tensors(path)
    chosen = find_format(format) if format else _detect(path, state)
    description = _describe(path, chosen, model, state)
    module = MODELS[chosen.model].module(description.config)
    try:
        table = chosen.table(description.config, state)
        state = chosen.clean(state, _official_shapes(table, parameter_shapes(module)))
        params = to_vlx(table, with_computed(table, state))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (TypeError, ValueError) as error:  # what a table cannot reshape
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(
            f"{path}: the weights do not have the shapes that the model's config asks for; take "
            f"both from one source ({reason})."
        ) from error
    return Pretrained(module, float32(params), description.pixels, description.tokenizer)


def read_whole(path: Path, format: str = "", model: Any = None) -> Pretrained:
    """As `read`, with every array of the shape that the config asks for, or a UserError."""
    pretrained = read(path, format, model)
    check_params(pretrained.model, pretrained.params, path)
    return pretrained


def write(folder: Path, pretrained: Pretrained, format: str) -> None:
    """A new folder that the official code loads.

    Raises UserError for a model that the format cannot express, naming the options.
    """
    chosen, p = find_format(format), pretrained
    name = name_of(p.model)
    if name != chosen.model:
        fitting = [other for other, f in FORMATS.items() if f.model == name]
        raise UserError(
            f"--format={format} is for {chosen.model} models and this is a {name}; "
            f"take --format={' or '.join(fitting) or 'vlx'}."
        )
    config = p.model.config
    settings = {}
    if beside := chosen.config_file:
        settings[beside.name] = beside.write(Description(config, p.pixels, p.tokenizer))
    official = to_official(chosen.table(config, ()), p.params)

    def fill(draft: Path) -> None:
        for name, content in settings.items():
            (draft / name).write_text(json.dumps(content, indent=2) + "\n")
        write_tensors(draft / chosen.weights_file, official, {"format": "pt"})

    write_folder(folder, fill)


def usual_vocabulary(pretrained: Pretrained) -> str:
    """The name of the tokenizer that the official code takes for such a model; empty if none."""
    model = name_of(pretrained.model)
    chosen = next(f for f in FORMATS.values() if f.model == model)
    tokenizer = chosen.default(pretrained.model.config).tokenizer
    return tokenizer.name if tokenizer else ""


def find_format(name: str) -> Format:
    """The format of a name. Raises UserError with the nearest for an unknown one."""
    if name not in FORMATS:
        raise UserError(f"--format={name!r} is unknown; {nearest(name, FORMATS)}")
    return FORMATS[name]


def _detect(path: Path, names: Collection[str]) -> Format:
    for chosen in FORMATS.values():
        if chosen.knows(names):
            return chosen
    raise UserError(
        f"{path} is of no format that vlx knows ({', '.join(FORMATS)}); its first tensors are "
        f"{', '.join(sorted(names)[:3])}."
    )


def _describe(path: Path, chosen: Format, model: Any, state: Mapping[str, Any]) -> Description:
    """From the config beside the file, else from its tensors, else from what was given."""
    if chosen.config_file and (beside := path.parent / chosen.config_file.name).is_file():
        return _read_config(beside, chosen.config_file)
    if isinstance(model, str) and model:
        if model not in chosen.presets:
            raise UserError(f"--model={model!r} is unknown; {nearest(model, chosen.presets)}")
        model = chosen.presets[model]
    if chosen.describe:
        return chosen.default(_told_by_tensors(path, chosen, model, state))
    if type(model) is MODELS[chosen.model].config:
        return chosen.default(model)
    if model:
        raise UserError(f"{path} holds a {chosen.model}, but the run trains a {name_of(model)}.")
    raise UserError(
        f"{path} has no {chosen.config_file.name} beside it; put it there, or say which model it "
        f"is: --model={next(iter(chosen.presets))}."
    )


def _read_config(path: Path, file: ConfigFile) -> Description:
    try:
        return file.read(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}. Copy it again.") from error
    except KeyError as error:
        raise UserError(f"{path} lacks {error}; copy it again.") from error


def _told_by_tensors(path: Path, chosen: Format, model: Any, state: Mapping[str, Any]) -> Any:
    try:
        return chosen.describe(state, model or None)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except KeyError as error:
        raise UserError(f"{path} is not {chosen.about}: it lacks {error}.") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} holds no model that vlx knows: {error}") from error


def _official_shapes(table, shapes: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    official = jax.eval_shape(lambda x: to_official(table, x), shapes)
    return {name: tuple(x.shape) for name, x in official.items()}
