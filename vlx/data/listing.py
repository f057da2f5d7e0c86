"""Records of text files: JSON lines and tables that list images, and plain text."""

import csv
import json
import logging
from collections.abc import Iterator
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
import pyarrow.csv

from vlx.data.columns import decode_text, find_columns
from vlx.data.config import DataConfig
from vlx.data.files import SPLIT, Files
from vlx.data.lines import Lines
from vlx.data.records import Record
from vlx.errors import UserError

JSONL_ENDINGS = (".jsonl",)
TEXT_ENDINGS = (".txt",)
CSV_ENDINGS = (".csv", ".tsv")

_log = logging.getLogger(__name__)


class JsonlSource:
    """One JSON object a line. Holds where lines start; reads them when asked."""

    def __init__(self, config: DataConfig, files: Files):
        self._lines = Lines(files.files)
        files.require_rows(len(self._lines))
        first = next(filter(None, self._tolerant_rows(config.on_error)), {})
        self.columns = find_columns(config, first, files.files[0])
        self.class_names = self.columns.class_names
        splits = None
        if files.needs_column() and SPLIT in first:
            splits = [row.get(SPLIT) for row in self._tolerant_rows(config.on_error)]
        self._lines.keep(files.rows(splits))

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> Record:
        return self.columns.record(*self._row(index))

    def captions(self, index: int) -> tuple[str, ...]:
        return self.columns.captions(*self._row(index))

    def annotation(self, index: int) -> Record:
        return self.columns.annotation(*self._row(index))

    def _row(self, index: int) -> tuple[dict, str]:
        return parse_line(*self._lines[index])

    def _tolerant_rows(self, on_error: str) -> Iterator[dict]:
        """All rows; of a broken line, which belongs to no split, an empty one if it is allowed."""
        for index in range(len(self._lines)):
            try:
                yield self._row(index)[0]
            except UserError:
                if on_error == "raise":
                    raise
                yield {}


class TextSource:
    """Plain text, one line a record."""

    class_names = ()

    def __init__(self, files: Files):
        self._lines = Lines(files.files)
        files.require_rows(len(self._lines))
        files.rows(None)

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> Record:
        line, place = self._lines[index]
        try:
            return {"captions": (line.decode().strip(),), "id": place}
        except UnicodeDecodeError as error:
            raise UserError(f"{place} is not UTF-8: {error}.") from error

    def captions(self, index: int) -> tuple[str, ...]:
        return self[index]["captions"]


class CsvSource:
    """A table with a header line; every value is text. Each process reads it by itself."""

    def __init__(self, config: DataConfig, files: Files):
        self._files, self._on_error = files.files, config.on_error
        self._names = _header(self._files[0])
        self.columns = find_columns(config, self._names, self._files[0])
        self.class_names = self.columns.class_names
        files.require_rows(len(self._table))
        splits = None
        if files.needs_column() and SPLIT in self._names:
            splits = [_text(value) for value in self._table[SPLIT].to_pylist()]
        self._rows = files.rows(splits)

    def __len__(self) -> int:
        return len(self._table) if self._rows is None else len(self._rows)

    def __getitem__(self, index: int) -> Record:
        return self.columns.record(*self._row(index))

    def captions(self, index: int) -> tuple[str, ...]:
        return self.columns.captions(*self._row(index))

    def annotation(self, index: int) -> Record:
        return self.columns.annotation(*self._row(index))

    def _row(self, index: int) -> tuple[dict, str]:
        place = index if self._rows is None else int(self._rows[index])
        file = int(np.searchsorted(self._ends, place, side="right"))
        first = self._ends[file - 1] if file else 0
        where = f"{self._files[file]} row {place - first}"
        values = {name: self._table[name][place].as_py() for name in self.columns.names}
        return {name: decode_text(value, where, name) for name, value in values.items()}, where

    @cached_property
    def _tables(self) -> list[pa.Table]:
        return [_read_csv(file, self._names, self._on_error) for file in self._files]

    @cached_property
    def _table(self) -> pa.Table:
        return pa.concat_tables(self._tables)

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([len(table) for table in self._tables])

    def __getstate__(self) -> dict:
        lazy = ("_tables", "_table", "_ends")
        return {name: value for name, value in vars(self).items() if name not in lazy}


def parse_line(line: bytes, place: str) -> tuple[dict, str]:
    """The JSON object in a line, and its place."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place} is no JSON: {error}.") from error
    if not isinstance(row, dict):
        raise UserError(f"{place} must be a JSON object with named columns, as {{...}}.")
    return row, place


def _delimiter(file: str) -> str:
    return "\t" if file.endswith(".tsv") or "\t" in _first_line(file) else ","


def _first_line(file: str) -> str:
    with open(file, encoding="utf-8-sig", errors="replace") as lines:
        return lines.readline()


def _header(file: str) -> list[str]:
    try:
        names = next(csv.reader([_first_line(file)], delimiter=_delimiter(file)), [])
    except csv.Error as error:
        raise UserError(f"{file}: its first line cannot be read: {error}.") from error
    if len(set(names)) < len(names):
        raise UserError(f"{file} has two columns of the same name among: {', '.join(names)}.")
    return names


def _read_csv(file: str, names: list[str], on_error: str) -> pa.Table:
    if _header(file) != names:
        raise UserError(
            f"{file} has the columns {', '.join(_header(file))}, but the first file of the split "
            f"has {', '.join(names)}; they must be the same."
        )
    try:
        return pyarrow.csv.read_csv(
            file,
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=_delimiter(file),
                newlines_in_values=True,
                invalid_row_handler=partial(_leave_out, file) if on_error == "skip" else None,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.binary() for name in names}, strings_can_be_null=False
            ),
        )
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file} is no readable table: {error}.") from error


def _leave_out(file: str, row: pyarrow.csv.InvalidRow) -> str:
    _log.warning(
        "%s: a row of %d values in %d columns is left out: %.80r",
        *(file, row.actual_columns, row.expected_columns, row.text),
    )
    return "skip"


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
