"""Class names and the sentences they are put in, by name.

The published lists belong to others; they are read from the package open_clip_torch, of which only
this one file of plain data is opened (`pip install --no-deps open_clip_torch` is enough).
"""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from types import ModuleType

from vlx.config import nearest
from vlx.errors import UserError

TEMPLATES = {"simple": ("{}", "a photo of a {}.", "a photo of the {}.", "a picture of a {}.")}
PUBLISHED_TEMPLATES = {  # name -> what open_clip calls it
    "openai_imagenet": "OPENAI_IMAGENET_TEMPLATES",  # 80, of the paper
    "openai_imagenet_simple": "SIMPLE_IMAGENET_TEMPLATES",  # 7 that do almost as well
}
PUBLISHED_CLASS_NAMES = {"openai_imagenet": "IMAGENET_CLASSNAMES"}  # 1000, cleaned by OpenAI


def read_templates(entries: Sequence[str]) -> tuple[str, ...]:
    """Sentences with "{}" in the place of a class name.

    An entry is such a sentence, the name of a list, or a text file with one on each line. Raises
    UserError for anything else.
    """
    return tuple(template for entry in entries for template in _read_entry(entry))


def read_class_names(name: str) -> tuple[str, ...]:
    """Names in the order of their labels: a published list, or a text file with one on each line.

    Raises UserError for anything else.
    """
    if name in PUBLISHED_CLASS_NAMES:
        return tuple(_published(PUBLISHED_CLASS_NAMES, name))
    return _lines(name, PUBLISHED_CLASS_NAMES, "evaluate.class_names")


def _read_entry(entry: str) -> tuple[str, ...]:
    if "{}" in entry:
        return (entry,)
    if entry in TEMPLATES:
        return TEMPLATES[entry]
    if entry in PUBLISHED_TEMPLATES:
        return tuple(make("{}") for make in _published(PUBLISHED_TEMPLATES, entry))
    lines = _lines(entry, TEMPLATES | PUBLISHED_TEMPLATES, "evaluate.templates")
    for number, line in enumerate(lines, 1):
        if "{}" not in line:
            raise UserError(f"{entry} line {number}: {line!r} has no '{{}}' for the class name.")
    return lines


def _lines(path: str, known: Mapping, key: str) -> tuple[str, ...]:
    if not os.path.isfile(path):
        raise UserError(f"{key}: there is no file or list {path!r}; {nearest(path, known)}")
    try:
        with open(path, encoding="utf-8") as file:
            lines = tuple(line.strip() for line in file.read().strip().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{key}: {path} cannot be read as text: {error}.") from error
    if not any(lines):
        raise UserError(f"{key}: {path} is empty; write one on each line.")
    return lines


def _published(names: Mapping[str, str], name: str) -> Sequence:
    found = getattr(_open_clip_lists(), names[name], None)
    if found is None:
        raise UserError(
            f"The list {name!r} is in the package open_clip_torch, which is not installed or of "
            "another version; `pip install --no-deps open_clip_torch==3.3.0`, or name a text file."
        )
    return found


@cache
def _open_clip_lists() -> ModuleType | None:
    """The package's file of lists, without its other code, which would need torch."""
    package = find_spec("open_clip")
    for folder in (package and package.submodule_search_locations) or ():
        path = os.path.join(folder, "zero_shot_metadata.py")
        if os.path.isfile(path):
            spec = spec_from_file_location("open_clip_lists", path)
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return None
