"""Records of Parquet files."""

import json
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vlx.data.columns import find_columns
from vlx.data.config import DataConfig
from vlx.data.files import SPLIT, Files
from vlx.data.records import Record
from vlx.errors import UserError

ENDINGS = (".parquet",)
CACHE = 2 << 30  # bytes of row groups that a process keeps
STATUS, SUCCESS = "status", "success"  # img2dataset's column, and what it says of good rows

_log = logging.getLogger(__name__)


class ParquetSource:
    """Records by random access; row groups are read when needed, and kept while they fit."""

    def __init__(self, config: DataConfig, files: Files):
        files, metadata = _readable(files, config.on_error)
        schemas = [content.schema.to_arrow_schema() for content in metadata]
        names = schemas[0].names
        self.columns = find_columns(
            config, names, files.files[0], _class_names(schemas[0], config.label_column)
        )
        self.class_names = self.columns.class_names
        _check_columns(files.files, schemas, self.columns.names)
        self._files = files.files
        self._groups = _row_groups(metadata)
        self._starts = np.cumsum([0] + [group.rows for group in self._groups])
        files.require_rows(int(self._starts[-1]))
        splits = files.needs_column() and SPLIT in names
        rows = files.rows(_read_column(files.files, SPLIT) if splits else None)
        if {STATUS, "error_message"} <= set(names):
            rows = _downloaded(files, rows)
        self._rows = rows
        self._cache = _GroupCache(files.files)
        _warn_if_slow(files, self._groups)

    def __len__(self) -> int:
        return int(self._starts[-1]) if self._rows is None else len(self._rows)

    def __getitem__(self, index: int) -> Record:
        row, place = self._row(index, self.columns.names)
        return self.columns.record(row, place)

    def captions(self, index: int) -> tuple[str, ...]:
        row, place = self._row(index, [self.columns.text] if self.columns.text else [])
        return self.columns.captions(row, place)

    def annotation(self, index: int) -> Record:
        return self.columns.annotation(*self._row(index, self.columns.annotations))

    def _row(self, index: int, names: list[str]) -> tuple[dict, str]:
        place = index if self._rows is None else int(self._rows[index])
        group = int(np.searchsorted(self._starts, place, side="right")) - 1
        offset = place - int(self._starts[group])
        group = self._groups[group]
        where = f"{self._files[group.file]} row {group.first + offset}"
        table = self._cache.read(group.file, group.number, tuple(names))
        try:
            return {name: table.column(name)[offset].as_py() for name in names}, where
        except (UnicodeDecodeError, IndexError) as error:
            raise UserError(f"{where} is damaged: {error}.") from error


@dataclass(frozen=True)
class _RowGroup:
    file: int  # its place among the source's files
    number: int  # its place in the file
    first: int  # its first row, counted in the file
    rows: int
    size: int  # bytes when unpacked


class _GroupCache:
    """The row groups used last, per process: an open file never crosses to another process."""

    def __init__(self, files: tuple[str, ...]):
        self._paths = files
        self._lock = threading.Lock()
        self._open: dict[int, pq.ParquetFile] = {}
        self._tables: OrderedDict[tuple, pa.Table] = OrderedDict()

    def __reduce__(self):
        return _GroupCache, (self._paths,)

    def read(self, file: int, number: int, names: tuple[str, ...]) -> pa.Table:
        key = (file, number, names)
        with self._lock:
            if key in self._tables:
                self._tables.move_to_end(key)
                return self._tables[key]
            self._tables[key] = self._load(file, number, names)
            self._forget()
            return self._tables[key]

    def _load(self, file: int, number: int, names: tuple[str, ...]) -> pa.Table:
        try:
            if file not in self._open:
                self._open[file] = pq.ParquetFile(self._paths[file])
            return self._open[file].read_row_group(number, columns=list(names))
        except Exception as error:  # Arrow raises many kinds
            raise UserError(
                f"{self._paths[file]}: cannot read row group {number}: {error}."
            ) from error

    def _forget(self) -> None:
        held = sum(table.nbytes for table in self._tables.values())
        while held > CACHE and len(self._tables) > 1:
            held -= self._tables.popitem(last=False)[1].nbytes


def _readable(files: Files, on_error: str) -> tuple[Files, list[pq.FileMetaData]]:
    """The files whose directory of contents can be read: all, or else an error if asked for."""
    good, metadata = [], []
    for file in files.files:
        try:
            metadata.append(_metadata(file))
            good.append(file)
        except UserError as error:
            last = len(good) == 0 and file == files.files[-1]
            if on_error == "raise" or last:
                raise
            _log.warning("left out: %s", error)
    return replace(files, files=tuple(good)), metadata


def _metadata(file: str) -> pq.FileMetaData:
    try:
        metadata = pq.read_metadata(file)
        metadata.schema.to_arrow_schema()
    except Exception as error:
        raise UserError(f"{file} is no readable Parquet file: {error}.") from error
    groups = range(metadata.num_row_groups)
    if any(metadata.row_group(group).num_rows < 0 for group in groups):
        raise UserError(f"{file} is no readable Parquet file: it has groups of fewer than 0 rows.")
    return metadata


def _check_columns(files: tuple[str, ...], schemas: list[pa.Schema], columns: list[str]) -> None:
    for file, schema in zip(files, schemas, strict=True):
        for column in columns:
            if schema.names.count(column) != 1:
                raise UserError(
                    f"{file} must have one column {column!r}, as {files[0]} has; its columns are: "
                    f"{', '.join(schema.names)}."
                )


def _class_names(schema: pa.Schema, column: str) -> tuple[str, ...]:
    """Those that Hugging Face's datasets wrote into the file."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(features[column or "label"]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def _downloaded(files: Files, rows: np.ndarray | None) -> np.ndarray:
    """Of the rows those that img2dataset could download."""
    good = np.array([status == SUCCESS for status in _read_column(files.files, STATUS)])
    wanted = np.arange(len(good)) if rows is None else rows
    chosen = wanted[good[wanted]]
    if len(chosen) < len(wanted):
        _log.warning(
            "%s: %d of %d rows are left out, because their column %r is not %r",
            *(files, len(wanted) - len(chosen), len(wanted), STATUS, SUCCESS),
        )
    files.require_rows(len(chosen))
    return chosen


def _row_groups(metadata: list[pq.FileMetaData]) -> list[_RowGroup]:
    groups = []
    for file, content in enumerate(metadata):
        first = 0
        for number in range(content.num_row_groups):
            group = content.row_group(number)
            groups.append(_RowGroup(file, number, first, group.num_rows, group.total_byte_size))
            first += group.num_rows
    return groups


def _read_column(files: tuple[str, ...], name: str) -> list[str]:
    values = []
    for file in files:
        try:
            values += pq.read_table(file, columns=[name], partitioning=None)[name].to_pylist()
        except Exception as error:
            raise UserError(f"{file}: cannot read the column {name!r}: {error}.") from error
    return values


def _warn_if_slow(files: Files, groups: list[_RowGroup]) -> None:
    """Random access reads whole row groups: large ones that cannot be kept cost much."""
    size, most = sum(group.size for group in groups), max(group.rows for group in groups)
    if size > CACHE and most > 64:
        _log.warning(
            "%s: %.1f GB in row groups of up to %d rows, of which %.1f GB are kept; each example "
            "may read a whole group. Files written with row_group_size=32 are read much faster.",
            *(files, size / 1e9, most, CACHE / 1e9),
        )
