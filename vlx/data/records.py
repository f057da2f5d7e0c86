"""What a source yields: records by random access, from rows of whatever columns a file has."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from vlx.data.config import DataConfig
from vlx.errors import UserError

Record = dict[str, Any]
# image     encoded bytes, or uint8 [H, W, 3]
# captions  tuple of str, at least one
# label     int; only where the data have labels
# id        str: file and row, for error messages

IMAGE = ("image", "img", "jpg", "jpeg", "png", "webp", "filepath", "file_name", "image_path")
TEXT = ("txt", "text", "caption", "captions", "captions/text", "title")
LABEL = ("cls", "label")
LARGEST = 2**31  # a label is an int32


class Source(Protocol):
    """Records by random access.

    May have `captions(index)`, which reads no pixels, and `order(seed)`, in which training reads.
    """

    class_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Record: ...


def tokenizer_texts(source: Source, index: int) -> tuple[str, ...]:
    """What a tokenizer learns from record `index`, read without its pixels where that is possible.

    Not always the record's captions: where these are class names in templates, each class comes up
    without a look at labels.
    """
    read = getattr(source, "captions", None)
    return read(index) if read else source[index]["captions"]


@dataclass(frozen=True)
class Columns:
    """Which columns hold what, and what their values need to become a record."""

    image: str
    text: str  # empty: none
    label: str  # empty: none
    image_folders: tuple[str, ...]  # tried in this order for a relative path
    class_names: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [name for name in (self.image, self.text, self.label) if name]

    def record(self, row: Mapping[str, Any], place: str) -> Record:
        """The record of one row; `place` is its file and row."""
        record = {"image": self._image(row.get(self.image), place), "id": place}
        record["captions"] = self.captions(row, place)
        if self.label:
            record["label"] = self._label(row.get(self.label), place)
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
            _check_caption(caption, f"{place}: column {self.text!r}")
        return captions

    def _image(self, value: Any, place: str) -> bytes:
        if isinstance(value, dict):  # as Hugging Face stores it
            value = value.get("bytes") or value.get("path")
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str) or not value:
            raise UserError(
                f"{place}: column {self.image!r} must be an image file's content or its path, "
                f"not {_shortly(value)}."
            )
        for folder in self.image_folders:
            try:
                with open(os.path.join(folder, value), "rb") as file:
                    return file.read()
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:  # a null byte in a path is a ValueError
                raise UserError(f"{place}: cannot read the image: {error}.") from error
        raise UserError(
            f"{place}: there is no image {value!r} in {' or '.join(self.image_folders)}; "
            "set data.image_folder to where image paths start."
        )

    def _label(self, value: Any, place: str) -> int:
        if isinstance(value, str) and value in self.class_names:
            return self.class_names.index(value)
        try:
            label = int(value)
        except (TypeError, ValueError, OverflowError):
            raise UserError(
                f"{place}: column {self.label!r} must be a number or a class name, not "
                f"{_shortly(value)}."
            ) from None
        if not -LARGEST <= label < LARGEST:
            raise UserError(f"{place}: column {self.label!r}: the label {label} is too large.")
        return label


def find_columns(
    config: DataConfig, names: Iterable[str], file: str, class_names: tuple[str, ...] = ()
) -> Columns:
    """The columns of a file whose columns are `names`; `class_names` are those it states itself."""
    names, folder = list(names), os.path.dirname(file) or "."
    beside = (folder, os.path.join(folder, "images"))
    templates = config.captions_from == "class_templates"
    columns = Columns(
        image=_column(config.image_column, IMAGE, names),
        text=_column(config.text_column, () if templates else TEXT, names),
        label=_column(config.label_column, LABEL, names),
        image_folders=(config.image_folder,) if config.image_folder else beside,
        class_names=read_class_names(config, folder) or class_names,
    )
    _require(columns.image, names, file, "image", IMAGE)
    if not templates or config.text_column:
        _require(columns.text, names, file, "text", TEXT)
    if templates or config.label_column:
        _require(columns.label, names, file, "label", LABEL)
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


def _check_caption(caption: str, place: str) -> None:
    if not caption.strip():
        raise UserError(f"{place} holds an empty text.")
    try:
        caption.encode()
    except UnicodeEncodeError as error:  # JSON can write halves of characters
        raise UserError(f"{place} is no valid Unicode: {error}.") from error


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
