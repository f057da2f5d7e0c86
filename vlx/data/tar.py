"""Where the samples of a tar file lie. A file is searched once; what was found is kept beside it.

A sample is the members that share a name up to its first dot: 0017.jpg, 0017.txt, 0017.json.
"""

import hashlib
import logging
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

KINDS = ("image", "text", "json", "label")  # the columns of an index

_KIND = {"jpg": 0, "jpeg": 0, "png": 0, "webp": 0, "txt": 1, "json": 2, "cls": 3}
_VERSION = 1  # of the kept files
_BLOCK = tarfile.BLOCKSIZE

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Index:
    """Where the members of N samples start in their file, and how long they are."""

    start: np.ndarray  # int64 [N, 4], by `KINDS`; 0: the sample has no such member
    size: np.ndarray  # int64 [N, 4], bytes
    problem: str  # why the rest of the file cannot be read; empty: it is whole


def read_index(file: str) -> Index:
    """What is kept of an earlier search if the file has not changed since, else a new search."""
    status = os.stat(file)
    stamp = np.array([_VERSION, status.st_size, status.st_mtime_ns], np.int64)
    places = _places(file)
    for place in places:
        kept = _load(place, stamp)
        if kept is not None:
            return kept
    index = search(file)
    for place in places:
        if _save(place, index, stamp):
            return index
    _log.warning("%s: its index can be kept neither in %s nor in %s", file, *places)
    return index


def search(file: str) -> Index:
    """The index, from the headers of all members."""
    rows: dict[str, int] = {}
    found, problem = [], ""
    try:
        for name, start, size in _members(file):
            folder, _, base = name.rpartition("/")
            stem, _, ending = base.partition(".")
            kind = _KIND.get(ending.lower())
            if kind is None or not stem:
                continue
            row = rows.setdefault(f"{folder}/{stem}", len(rows))
            found.append((row, kind, start, size))
    except _BadTarError as error:
        problem = str(error)
    starts, sizes = (np.zeros((len(rows), len(KINDS)), np.int64) for _ in range(2))
    for row, kind, start, size in reversed(found):  # of two members of a kind, the first stays
        starts[row, kind], sizes[row, kind] = start, size
    if problem and len(rows):  # members of the last sample may be beyond the break
        starts, sizes = starts[:-1], sizes[:-1]
    return Index(starts, sizes, problem)


class _BadTarError(Exception):
    pass


def _members(file: str) -> Iterator[tuple[str, int, int]]:
    """Name, start and size of every file in the tar; refuses one that does not end as it should."""
    length = os.path.getsize(file)
    try:
        with tarfile.open(file, "r:") as tar:
            last = -1
            while (member := tar.next()) is not None:
                tar.members.clear()  # it would remember them all
                if member.offset <= last or not 0 <= member.size <= length - member.offset_data:
                    raise _BadTarError(f"it is cut off or damaged at byte {member.offset}")
                last = member.offset
                if member.isreg() and not member.issparse():
                    yield member.name, member.offset_data, member.size
            end = tar.offset
        with open(file, "rb") as content:
            content.seek(end)
            if content.read(_BLOCK).strip(b"\0") or length < end + _BLOCK:
                raise _BadTarError(f"it is cut off or damaged at byte {end}")
    except (_BadTarError, OSError):
        raise
    except Exception as error:  # tarfile raises whatever a damaged header leads it to
        raise _BadTarError(f"it is no readable tar file without compression ({error})") from error


def _places(file: str) -> tuple[str, str]:
    """Where an index may be kept: beside the file, or in the user's cache folder."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    name = hashlib.sha256(os.path.abspath(file).encode()).hexdigest()[:32]
    return f"{file}.index.npz", os.path.join(folder, "vlx", "tar", f"{name}.npz")


def _load(place: str, stamp: np.ndarray) -> Index | None:
    if not os.path.isfile(place):
        return None
    try:
        with np.load(place, allow_pickle=False) as kept:
            if not np.array_equal(kept["stamp"], stamp):
                return None
            return Index(kept["start"], kept["size"], str(kept["problem"]))
    except Exception as error:
        _log.warning("%s is damaged and made again: %s", place, error)
        return None


def _save(place: str, index: Index, stamp: np.ndarray) -> bool:
    """All or nothing; false if nothing can be written there."""
    draft = f"{place}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
        with open(draft, "wb") as file:
            np.savez(file, start=index.start, size=index.size, problem=index.problem, stamp=stamp)
        os.replace(draft, place)
        return True
    except OSError:
        return False
