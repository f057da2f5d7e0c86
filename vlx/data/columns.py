"""Records from rows of whatever columns a file has."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vlx.data.config import DataConfig
from vlx.data.image_files import image_folders, read_image
from vlx.data.records import Record
from vlx.errors import UserError

IMAGE = ("image", "img", "jpg", "jpeg", "png", "webp", "filepath", "file_name", "image_path",
         "image_0", "left_image")  # fmt: skip
SECOND_IMAGE = ("second_image", "image_1", "right_image")
TEXT = ("txt", "text", "caption", "captions", "captions/text", "title", "question", "sentence",
        "statement")  # fmt: skip
LABEL = ("cls", "label")
ANSWERS = ("answers", "answer")
COMMON = ("multiple_choice_answer", "answer")  # the most common answer, beside a list of all
DETAILS = ("image_id", "question_id", "answer_type")  # go into the record as they are
TRUTH = {"false": 0, "true": 1}  # labels of statements, in any case
LARGEST = 2**31  # a label is an int32


@dataclass(frozen=True)
class Columns:
    """Which columns hold what, and what their values need to become a record."""

    image: str
    text: str  # empty: none
    label: str  # empty: none
    image_folders: tuple[str, ...]  # tried in this order for a relative path
    class_names: tuple[str, ...]
    answers: str = ""  # empty: none
    common: str = ""  # of the most common answer; empty: none
    second_image: str = ""  # empty: none
    details: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        return [name for name in (self.image, self.second_image) if name] + self.annotations

    @property
    def annotations(self) -> list[str]:
        """All but the images."""
        names = (self.text, self.label, self.answers, self.common)
        return [name for name in names if name] + list(self.details)

    def record(self, row: Mapping[str, Any], place: str) -> Record:
        """The record of one row; `place` is its file and row."""
        record = {"image": self._image(self.image, row, place)} | self.annotation(row, place)
        if self.second_image:
            record["second_image"] = self._image(self.second_image, row, place)
        return record

    def annotation(self, row: Mapping[str, Any], place: str) -> Record:
        """The record without its images, whose columns the row need not have."""
        record = {"id": place, "captions": self.captions(row, place)}
        if self.label:
            record["label"] = self._label(row.get(self.label), place)
        for name in (self.answers, self.common):
            answers = self._answers(name, row.get(name), place) if name else ()
            if answers:
                record |= {"answers": answers} if name == self.answers else {"answer": answers[0]}
        record |= {name: row[name] for name in self.details if row.get(name) is not None}
        if isinstance(path := _content_or_path(row.get(self.image)), str):
            record["picture"] = path
        return record

    def captions(self, row: Mapping[str, Any], place: str) -> tuple[str, ...]:
        if not self.text:
            return ()
        value = row.get(self.text)
        captions = tuple(value) if isinstance(value, list | tuple) else (value,)
        if not captions or not all(isinstance(caption, str) for caption in captions):
            raise UserError(
                f"{place}: column {self.text!r} must be a text or a list of texts, not "
                f"{_shortly(value)}."
            )
        for caption in captions:
            check_caption(caption, f"{place}: column {self.text!r}")
        return captions

    def _image(self, column: str, row: Mapping[str, Any], place: str) -> bytes:
        value = _content_or_path(row.get(column))
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str) or not value:
            raise UserError(
                f"{place}: column {column!r} must be an image file's content or its path, "
                f"not {_shortly(value)}."
            )
        return read_image((value,), self.image_folders, place)

    def _label(self, value: Any, place: str) -> int:
        if isinstance(value, str) and value in self.class_names:
            return self.class_names.index(value)
        if isinstance(value, str) and value.lower() in TRUTH:
            return TRUTH[value.lower()]
        try:
            label = int(value)
        except (TypeError, ValueError, OverflowError):
            raise UserError(
                f"{place}: column {self.label!r} must be a number or a class name, "
                f"not {_shortly(value)}."
            ) from None
        if not -LARGEST <= label < LARGEST:
            raise UserError(f"{place}: column {self.label!r}: the label {label} is too large.")
        return label

    def _answers(self, column: str, value: Any, place: str) -> tuple[str, ...]:
        """Of a text, a number, or a list of them or of {"answer": ...}; none of nothing."""
        values = (
            value if isinstance(value, list | tuple) else [] if value in (None, "") else [value]
        )
        values = [v.get("answer") if isinstance(v, dict) else v for v in values]
        if not all(isinstance(v, str | int) and not isinstance(v, bool) for v in values):
            raise UserError(
                f"{place}: column {column!r} must be an answer or a list of answers, not "
                f"{_shortly(value)}."
            )
        return tuple(map(str, values))


def find_columns(
    config: DataConfig, names: Iterable[str], file: str, class_names: tuple[str, ...] = ()
) -> Columns:
    """The columns of a file whose columns are `names`; `class_names` are those it states itself."""
    names, folder = list(names), os.path.dirname(file) or "."
    templates = config.captions_from == "class_templates"
    answers = _column(config.answers_column, ANSWERS, names)
    columns = Columns(
        image=_column(config.image_column, IMAGE, names),
        text=_column(config.text_column, () if templates else TEXT, names),
        label=_column(config.label_column, LABEL, names),
        image_folders=image_folders(config, folder),
        class_names=read_class_names(config, folder) or class_names,
        answers=answers,
        common=_column("", [name for name in COMMON if answers and name != answers], names),
        second_image=_column(config.second_image_column, SECOND_IMAGE, names),
        details=tuple(name for name in DETAILS if name in names),
    )
    _require(columns.image, names, file, "image", IMAGE)
    if not templates or config.text_column:
        _require(columns.text, names, file, "text", TEXT)
    if templates or config.label_column:
        _require(columns.label, names, file, "label", LABEL)
    if config.answers_column:
        _require(columns.answers, names, file, "answers", ANSWERS)
    if config.second_image_column:
        _require(columns.second_image, names, file, "second_image", SECOND_IMAGE)
    return columns


def read_class_names(config: DataConfig, folder: str) -> tuple[str, ...]:
    """Class names by label; none if the configuration names no file and the data have none."""
    usual = [os.path.join(place, "classnames.txt") for place in (folder, config.path)]
    paths = [config.class_names] if config.class_names else usual
    found = [path for path in paths if os.path.isfile(path)]
    if not found and config.class_names:
        raise UserError(f"data.class_names={config.class_names!r} does not exist; name a file.")
    if not found:
        return ()
    with open(found[0], encoding="utf-8") as file:
        return tuple(line.strip() for line in file.read().strip().splitlines())


def decode_text(value: Any, place: str, column: str) -> str | list[str]:
    """The text, or texts, of UTF-8 bytes; anything else as it is."""
    if isinstance(value, list | tuple):
        return [decode_text(item, place, column) for item in value]
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: column {column!r} is not UTF-8: {error}.") from error


def check_caption(caption: str, place: str) -> None:
    if not caption.strip():
        raise UserError(f"{place} holds an empty text.")
    try:
        caption.encode()
    except UnicodeEncodeError as error:  # JSON can write halves of characters
        raise UserError(f"{place} is no valid Unicode: {error}.") from error


def _content_or_path(value: Any) -> Any:
    """Of an image column's value, which Hugging Face stores as a structure of both."""
    return value.get("bytes") or value.get("path") if isinstance(value, dict) else value


def _shortly(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _column(wanted: str, usual: Iterable[str], names: list[str]) -> str:
    found = [name for name in ((wanted,) if wanted else usual) if name in names]
    return found[0] if found else ""


def _require(column: str, names: list[str], file: str, kind: str, usual: Iterable[str]) -> None:
    if not column:
        raise UserError(
            f"{file} lacks the column for data.{kind}_column (if not set: {', '.join(usual)}); "
            f"its columns are: {', '.join(names) or 'none'}."
        )
