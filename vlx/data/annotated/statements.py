"""True or false statements about pictures: NLVR and NLVR2, as their authors publish them."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from vlx.data.annotated.form import AnnotatedSource, read_each, require_rows, text, value
from vlx.data.columns import TRUTH
from vlx.data.config import DataConfig
from vlx.data.files import Files, find_files
from vlx.data.image_files import image_folders
from vlx.data.lines import Lines
from vlx.data.listing import parse_line
from vlx.data.records import Record
from vlx.errors import UserError

ENDINGS = (".json",)
AUTHORS = {"val": "dev", "test": "test1"}  # what NLVR2 calls these splits


class Statement(NamedTuple):
    place: str
    text: str
    label: int  # 1 true, 0 false
    sentence: str  # the same for all pictures that a sentence comes with
    pictures: tuple[tuple[str, ...], ...]


class StatementSource(AnnotatedSource):
    """A statement about a picture, or about two, a record."""

    class_names = tuple(TRUTH)

    def describe(self, row: Statement) -> Record:
        return {
            "id": row.place,
            "captions": (row.text,),
            "label": row.label,
            "sentence": row.sentence,
            "picture": row.pictures[0][0],
        }

    def pictures(self, row: Statement) -> tuple[tuple[str, ...], ...]:
        return row.pictures


def nlvr2_source(config: DataConfig, split: str, size: int) -> StatementSource:
    """Statements about pairs of photos. The splits `val` and `test` may be dev and test1."""
    files = _files(config, split)

    def read(line: tuple[bytes, str]) -> Statement:
        row, place = parse_line(*line)
        identifier = value(row, "identifier", str, place)
        folder, stem = identifier.split("-")[0], identifier.rpartition("-")[0]
        inner = str(row.get("directory", ""))
        places = ("", inner, folder, f"{folder}/{inner}", f"images/{folder}/{inner}")
        names = (f"{stem}-img{number}.png" for number in range(2))
        pictures = [tuple(os.path.join(place, name) for place in places) for name in names]
        sentence = nlvr2_sentence(identifier, place)
        return Statement(place, text(row, "sentence", place), _label(row, place), sentence,
                         tuple(pictures))  # fmt: skip

    rows = read_each(_lines(files), read, config)
    ours = {AUTHORS[split]: split} if split in AUTHORS else {}
    names = (row.sentence.split("-")[0] for row in rows)  # identifiers begin with their split
    chosen = files.rows([ours.get(name, name) for name in names])
    rows = rows if chosen is None else [rows[n] for n in chosen]
    require_rows(rows, str(files), split)
    return StatementSource(rows, image_folders(config, os.path.dirname(files.files[0]) or "."))


def nlvr_source(config: DataConfig, split: str, size: int) -> StatementSource:
    """Statements about three boxes in a drawn picture.

    The boxes are drawn in up to six orders; every picture that is there makes a record.
    """
    files = _files(config, split)
    folders = image_folders(config, os.path.dirname(files.files[0]) or ".")
    drawn = _drawn(folders[0])

    def read(line: tuple[bytes, str]) -> list[Statement]:
        row, place = parse_line(*line)
        identifier = value(row, "identifier", str, place)
        pictures = _of_split(drawn[identifier], split)
        if not pictures:
            raise UserError(
                f"{place}: there is no picture SPLIT-{identifier}-NUMBER.png in {folders[0]}; "
                "set data.image_folder to a folder above all pictures."
            )
        said = text(row, "sentence", place), _label(row, place), identifier.split("-")[0]
        return [Statement(place, *said, ((path,),)) for path in pictures]

    rows = [row for several in read_each(_lines(files), read, config) for row in several]
    files.rows(None)
    require_rows(rows, str(files), split)
    return StatementSource(rows, folders[:1])


def nlvr2_sentence(identifier: str, place: str) -> str:
    """What examples of one sentence share: SPLIT-SET-PAIR-SENTENCE without the pair."""
    parts = identifier.split("-")
    if len(parts) != 4:
        raise UserError(
            f"{place}: the identifier {identifier!r} must be SPLIT-SET-PAIR-SENTENCE, "
            "as dev-850-0-1."
        )
    split, group, _, sentence = parts
    return f"{split}-{group}-{sentence}"


def _files(config: DataConfig, split: str) -> Files:
    """The files that are named like the split, also as its authors do; else the only one."""
    found, problems = [], []
    for name in dict.fromkeys((split, AUTHORS.get(split, split))):
        try:
            found.append(find_files(config, name, ENDINGS))
        except UserError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    return next((files for files in found if files.named), found[0])


def _lines(files: Files) -> Iterator[tuple[bytes, str]]:
    lines = Lines(files.files)
    return (lines[n] for n in range(len(lines)))


def _label(row: dict, place: str) -> int:
    label = value(row, "label", str, place)
    if label.lower() not in TRUTH:
        raise UserError(f"{place}: the label must be true or false, not {label!r}.")
    return TRUTH[label.lower()]


def _drawn(folder: str) -> dict[str, list[str]]:
    """The pictures SPLIT-IDENTIFIER-NUMBER.png below a folder, by their identifiers."""
    found = defaultdict(list)
    for place, _, names in os.walk(folder):
        for name in names:
            if match := re.fullmatch(r"\w+-(\d+-\d+)-\d\.png", name):
                found[match[1]].append(os.path.relpath(os.path.join(place, name), folder))
    return found


def _of_split(paths: list[str], split: str) -> list[str]:
    """Identifiers count anew in each split: of pictures of several splits those of this one."""
    names = {AUTHORS.get(split, split), split}
    own = [path for path in paths if os.path.basename(path).split("-")[0] in names]
    return sorted(own or paths)
