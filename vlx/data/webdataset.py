"""Records of WebDataset tar files, read at any place without unpacking."""

import json
import logging
import os
import threading
from dataclasses import replace

import numpy as np

from vlx.data.columns import Columns, decode_text, find_columns
from vlx.data.config import DataConfig
from vlx.data.files import Files
from vlx.data.records import Record
from vlx.data.tar import KINDS, Index, read_index
from vlx.errors import UserError

ENDINGS = (".tar",)

_IMAGE, _TEXT, _JSON, _LABEL = range(len(KINDS))
_COLUMN = {_TEXT: "txt", _LABEL: "cls"}
_HEADER = 512  # bytes before a member's content
_OPEN = 256  # files that a process keeps open

_log = logging.getLogger(__name__)


class WebDatasetSource:
    """Samples of an image (jpg, jpeg, png, webp) with captions in .txt or .json, classes in .cls.

    Columns are txt, cls and the keys of the .json. It holds two numbers for each member in use.
    """

    def __init__(self, config: DataConfig, files: Files):
        self._shards = _Shards(files.files)
        indices = [_index(file, config.on_error) for file in files.files]
        self._ends = np.cumsum([len(index.start) for index in indices])
        files.require_rows(int(self._ends[-1]))
        files.rows(None)
        self._start = np.concatenate([index.start for index in indices])
        self._size = np.concatenate([index.size for index in indices])
        self.columns = self._find_columns(config, files.files[0])
        self.class_names = self.columns.class_names
        self._kinds = self._needed()
        self._start, self._size = self._start[:, self._kinds], self._size[:, self._kinds]

    def __len__(self) -> int:
        return len(self._start)

    def __getitem__(self, index: int) -> Record:
        return self.columns.record(*self._row(index, self._kinds))

    def captions(self, index: int) -> tuple[str, ...]:
        kinds = [kind for kind in self._kinds if kind in (_TEXT, _JSON)]
        return self.columns.captions(*self._row(index, kinds))

    def annotation(self, index: int) -> Record:
        kinds = [kind for kind in self._kinds if kind != _IMAGE]
        return self.columns.annotation(*self._row(index, kinds))

    def _row(self, index: int, kinds: list[int]) -> tuple[dict, str]:
        shard = int(np.searchsorted(self._ends, index, side="right"))
        record = index - int(self._ends[shard - 1] if shard else 0)
        place = f"{self._shards.files[shard]} record {record}"
        row, name = {}, ""
        for kind in kinds:
            start, size = (
                int(x[index, self._kinds.index(kind)]) for x in (self._start, self._size)
            )
            if not start:
                continue
            header, content = self._shards.read(shard, start, size, place)
            if not name:
                name = _sample_name(header)
                place = f"{place} ({name})"
            if kind == _IMAGE:
                row["jpg"] = content
            elif kind == _JSON:
                row = {**_parse(content, place), **row}
            else:
                row[_COLUMN[kind]] = decode_text(content, place, _COLUMN[kind]).strip()
        return row, place

    def _find_columns(self, config: DataConfig, file: str) -> Columns:
        """From what members there are, and the keys of the first .json that can be read."""
        self._kinds = list(range(len(KINDS)))
        names = [name for kind, name in ((_IMAGE, "jpg"), *_COLUMN.items()) if self._has(kind)]
        for index in np.flatnonzero(self._start[:, _JSON])[:100]:
            try:
                names += self._row(int(index), [_JSON])[0]
                break
            except UserError:
                if config.on_error == "raise":
                    raise
        return find_columns(replace(config, image_column="jpg"), names, file)

    def _needed(self) -> list[int]:
        """The kinds of members that a record is made of."""
        used = {*self.columns.names[1:]}
        members = [kind for kind, name in _COLUMN.items() if name in used]
        keys = [_JSON] if used - set(_COLUMN.values()) else []
        return [_IMAGE, *members, *keys]

    def _has(self, kind: int) -> bool:
        return bool(self._start[:, kind].any())


class _Shards:
    """Open files, which every process opens for itself."""

    def __init__(self, files: tuple[str, ...]):
        self.files = files
        self._open: dict[int, int] = {}
        self._lock = threading.Lock()

    def read(self, shard: int, start: int, size: int, place: str) -> tuple[bytes, bytes]:
        """A member's header and content."""
        try:
            file, mine = self._take(shard)
            try:
                content = os.pread(file, _HEADER + size, start - _HEADER)
            finally:
                if mine:
                    os.close(file)
        except OSError as error:
            raise UserError(f"{place}: cannot read the file: {error}.") from error
        if len(content) < _HEADER + size:
            raise UserError(f"{place}: the file has been cut off since it was indexed.")
        return content[:_HEADER], content[_HEADER:]

    def _take(self, shard: int) -> tuple[int, bool]:
        """An open file, and whether the caller closes it."""
        with self._lock:
            if shard in self._open:
                return self._open[shard], False
            file = os.open(self.files[shard], os.O_RDONLY)
            if len(self._open) < _OPEN:
                self._open[shard] = file
                return file, False
            return file, True

    def __reduce__(self):
        return _Shards, (self.files,)

    def __del__(self):
        for file in self._open.values():
            os.close(file)


def _index(file: str, on_error: str) -> Index:
    try:
        index = read_index(file)
    except OSError as error:
        raise UserError(f"{file}: cannot read the file: {error}.") from error
    if index.problem:
        problem = f"{file}: {index.problem}, after {len(index.start)} whole records"
        if on_error == "raise":
            raise UserError(f"{problem}; fetch it anew, or read only those: data.on_error='skip'.")
        _log.warning("%s; the rest is left out", problem)
    return index


def _sample_name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0].decode(errors="replace")
    return name.rpartition("/")[2].partition(".")[0]


def _parse(content: bytes, place: str) -> dict:
    try:
        row = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: its .json is none: {error}.") from error
    if not isinstance(row, dict):
        raise UserError(f"{place}: its .json must be an object with named values, as {{...}}.")
    return row
