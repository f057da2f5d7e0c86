"""Records of Parquet files."""

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vlx.data.config import DataConfig
from vlx.data.files import SPLIT, Files
from vlx.data.records import Record, find_columns
from vlx.errors import UserError

ENDINGS = (".parquet",)
CACHE = 2 << 30  # bytes of row groups that a process keeps

_log = logging.getLogger(__name__)


class ParquetSource:
    """Records by random access; row groups are read when needed, and kept while they fit."""

    def __init__(self, config: DataConfig, files: Files):
        metadata = [_metadata(file) for file in files.files]
        names = metadata[0].schema.to_arrow_schema().names
        self.columns = find_columns(config, names, files.files[0])
        self.class_names = self.columns.class_names
        self._files = files.files
        self._groups = _row_groups(metadata)
        self._starts = np.cumsum([0] + [group.rows for group in self._groups])
        files.require_rows(int(self._starts[-1]))
        splits = files.needs_column() and SPLIT in names
        self._rows = files.rows(_read_column(files.files, SPLIT) if splits else None)
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

    def _row(self, index: int, names: list[str]) -> tuple[dict, str]:
        place = index if self._rows is None else int(self._rows[index])
        group = int(np.searchsorted(self._starts, place, side="right")) - 1
        offset = place - int(self._starts[group])
        group = self._groups[group]
        table = self._cache.read(group.file, group.number, tuple(names))
        row = {name: table.column(name)[offset].as_py() for name in names}
        return row, f"{self._files[group.file]} row {group.first + offset}"


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
        except (OSError, KeyError, pa.ArrowException) as error:
            raise UserError(
                f"{self._paths[file]}: cannot read row group {number}: {error}."
            ) from error

    def _forget(self) -> None:
        held = sum(table.nbytes for table in self._tables.values())
        while held > CACHE and len(self._tables) > 1:
            held -= self._tables.popitem(last=False)[1].nbytes


def _metadata(file: str) -> pq.FileMetaData:
    try:
        return pq.read_metadata(file)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file} is no readable Parquet file: {error}.") from error


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
    tables = (pq.read_table(file, columns=[name]) for file in files)
    return [value for table in tables for value in table[name].to_pylist()]


def _warn_if_slow(files: Files, groups: list[_RowGroup]) -> None:
    """Random access reads whole row groups: large ones that cannot be kept cost much."""
    size, most = sum(group.size for group in groups), max(group.rows for group in groups)
    if size > CACHE and most > 64:
        _log.warning(
            "%s: %.1f GB in row groups of up to %d rows, of which %.1f GB are kept; each example "
            "may read a whole group. Files written with row_group_size=32 are read much faster.",
            *(files, size / 1e9, most, CACHE / 1e9),
        )
