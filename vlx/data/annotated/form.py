"""What readers of annotation files share: the files are read whole, pictures when asked for."""

import json
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from vlx.data.columns import check_caption
from vlx.data.config import DataConfig
from vlx.data.image_files import read_image
from vlx.data.records import Record
from vlx.data.skipping import SkipLog
from vlx.errors import UserError

PICTURES = ("image", "second_image")

Entry = TypeVar("Entry")
Row = TypeVar("Row")


class AnnotatedSource:
    """Records by random access, from rows in memory; a format says what a row means."""

    class_names: tuple[str, ...] = ()

    def __init__(self, rows: list[tuple], folders: tuple[str, ...]):
        self._rows = rows
        self._folders = folders  # in which relative paths of pictures are tried

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Record:
        record = self.annotation(index)
        for name, paths in zip(PICTURES, self.pictures(self._rows[index]), strict=False):
            record[name] = read_image(paths, self._folders, record["id"])
        return record

    def annotation(self, index: int) -> Record:
        return self.describe(self._rows[index])

    def captions(self, index: int) -> tuple[str, ...]:
        return self.annotation(index)["captions"]

    def describe(self, row: Any) -> Record:
        """The record of a row, without pictures."""
        raise NotImplementedError

    def pictures(self, row: Any) -> tuple[tuple[str, ...], ...]:
        """Of each picture the paths it may have, relative."""
        raise NotImplementedError


def read_each(
    entries: Iterable[Entry], read: Callable[[Entry], Row], config: DataConfig
) -> list[Row]:
    """What `read` makes of the entries; those that it refuses are told and left out, if allowed."""
    rows, skips = [], SkipLog()
    for entry in entries:
        try:
            rows.append(read(entry))
        except UserError as error:
            if config.on_error == "raise":
                raise
            skips.add([str(error)])
    return rows


def read_json(path: str, kind: type = dict) -> Any:
    """The content of a JSON file, an object or a list."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is no readable JSON: {error}.") from error
    if not isinstance(content, kind):
        raise UserError(f"{path} must hold {NAMES[kind]}, not {type(content).__name__}.")
    return content


def value(entry: Any, name: str, kind: type | tuple[type, ...], place: str) -> Any:
    """The field `name` of an entry, which must be there and of this kind."""
    found = entry.get(name) if isinstance(entry, dict) else None
    if isinstance(found, bool) or not isinstance(found, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise UserError(f"{place} needs {name!r}, {' or '.join(NAMES[k] for k in kinds)}.")
    return found


def text(entry: Any, name: str, place: str) -> str:
    """As `value`, of a text that says something."""
    found = value(entry, name, str, place)
    check_caption(found, f"{place}: {name!r}")
    return found


def find(config: DataConfig, pattern: str, example: str) -> str:
    """The one file whose name matches `pattern`: data.path itself, or in it or its annotations/.

    `example` says in an error message what is looked for.
    """
    path = os.path.join(config.path, config.file) if config.file else config.path
    if not path:
        raise UserError(f"data.path is empty; the source {config.source!r} needs {example}.")
    if os.path.isfile(path):
        return path
    folders = [
        folder for folder in (path, os.path.join(path, "annotations")) if os.path.isdir(folder)
    ]
    if not folders:
        raise UserError(f"data.path={path!r} does not exist; it must hold {example}.")
    names = [
        os.path.join(folder, name) for folder in folders for name in sorted(os.listdir(folder))
    ]
    found = [name for name in names if re.fullmatch(pattern, os.path.basename(name))]
    if len(found) == 1:
        return found[0]
    held = ", ".join(os.path.basename(name) for name in (found or names)[:8]) or "nothing"
    many = "several files that could be" if found else "no file such as"
    raise UserError(f"data.path={path!r} holds {many} {example}; it has: {held}.")


def home(path: str) -> str:
    """The folder of a data set whose annotations may have a folder of their own."""
    folder = os.path.dirname(path) or "."
    inner = os.path.basename(os.path.abspath(folder)) == "annotations"
    return os.path.dirname(os.path.abspath(folder)) if inner else folder


def require_rows(rows: list, place: str, split: str) -> None:
    if not rows:
        raise UserError(f"{place} has no rows of the split {split!r}, which needs at least one.")


NAMES = {dict: "an object", list: "a list", str: "a text", int: "a number"}
