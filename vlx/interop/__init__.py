"""Weights in and out: every published format that vlx reads and writes."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from vlx.interop import clip, open_clip_coca, open_clip_files, open_clip_state
from vlx.interop.table import Rule

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True)
class Format:
    """How others write one kind of model."""

    about: str  # in a few words
    model: str  # a name in `vlx.models.MODELS`
    presets: Mapping[str, Any]  # model configs of published files, by their official names
    config_file: str
    weights_file: str
    knows: Callable[[Collection[str]], bool]  # whether these names of tensors are of this format
    read_config: Callable[[Mapping[str, Any]], open_clip_files.Description]
    write_config: Callable[[open_clip_files.Description], dict[str, Any]]
    default: Callable[[Any], open_clip_files.Description]  # what goes with a bare model config
    table: Callable[[Any, Collection[str]], list[Rule]]  # of a config, for a file with such names
    clean: Callable[[Mapping[str, Any], Mapping[str, tuple[int, ...]]], dict[str, Any]]


_OPEN_CLIP = {
    "config_file": "open_clip_config.json",
    "weights_file": "open_clip_model.safetensors",
    "read_config": open_clip_files.read,
    "write_config": open_clip_files.write,
    "default": open_clip_files.default,
    "clean": open_clip_state.clean,
}

FORMATS = {
    "open_clip_coca": Format(
        about="CoCa as open_clip trains and publishes it",
        model="coca",
        presets=open_clip_coca.PRESETS,
        knows=lambda names: any(name.startswith("text_decoder.") for name in names),
        table=lambda config, names: open_clip_coca.table(config),
        **_OPEN_CLIP,
    ),
    "clip": Format(
        about="CLIP of OpenAI and open_clip, with either layout of the text tower",
        model="clip",
        presets=clip.PRESETS,
        knows=lambda names: "visual.proj" in names and "logit_scale" in names,
        table=clip.table_for,
        **_OPEN_CLIP,
    ),
}
