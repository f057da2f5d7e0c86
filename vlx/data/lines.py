"""Lines of text files by random access: where they start is found once, reading waits."""

import mmap
from collections.abc import Sequence
from functools import cached_property

import numpy as np

CHUNK = 1 << 24  # bytes that are searched at a time
_SPACE = np.isin(np.arange(256), list(b" \t\n\r\v\f"))  # by byte


class Lines:
    """All lines that are not blank, of all files in their order. Each process opens the files."""

    def __init__(self, files: Sequence[str]):
        self._files = tuple(files)
        found = [_find(file) for file in self._files]
        self._starts = np.concatenate([starts for starts, _ in found])
        self._numbers = np.concatenate([numbers for _, numbers in found])
        self._file_of = np.repeat(np.arange(len(found), dtype=np.int32), [len(x) for x, _ in found])

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> tuple[bytes, str]:
        """The line without its end, and its place: file and number, counted from 1."""
        file, start = int(self._file_of[index]), int(self._starts[index])
        content = self._open(file)
        end = content.find(b"\n", start)
        line = content[start : end if end >= 0 else len(content)]
        return line, f"{self._files[file]} line {self._numbers[index]}"

    def keep(self, rows: np.ndarray | None) -> None:
        """Only these lines stay; None: all."""
        if rows is not None:
            self._starts, self._numbers = self._starts[rows], self._numbers[rows]
            self._file_of = self._file_of[rows]

    def _open(self, file: int) -> mmap.mmap:
        if file not in self._contents:
            with open(self._files[file], "rb") as opened:
                self._contents[file] = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        return self._contents[file]

    @cached_property
    def _contents(self) -> dict[int, mmap.mmap]:
        return {}

    def __getstate__(self) -> dict:
        return {name: value for name, value in vars(self).items() if name != "_contents"}


def _find(file: str) -> tuple[np.ndarray, np.ndarray]:
    """Where lines that are not blank start, int64 [N], and their numbers from 1, int32 [N]."""
    ends, words, size = [], [], 0  # of every line; whether it holds anything
    filled = False  # the line that a chunk begins in the middle of
    with open(file, "rb") as opened:
        while chunk := opened.read(CHUNK):
            content = np.frombuffer(chunk, np.uint8)
            breaks = np.flatnonzero(content == ord("\n"))
            seen = np.concatenate([[0], np.cumsum(~_SPACE[content], dtype=np.int64)])
            counts = np.diff(seen[np.concatenate([[0], breaks + 1])])
            if len(counts):
                counts[0] += filled
            filled = bool(seen[-1] > seen[breaks[-1] + 1] if len(breaks) else filled or seen[-1])
            ends.append(size + breaks + 1)
            words.append(counts > 0)
            size += len(chunk)
    starts = np.concatenate(
        [np.zeros(1, np.int64), *ends]
    )  # of every line, also of none at the end
    chosen = np.flatnonzero(np.concatenate([*words, [filled]]).astype(bool))
    return starts[chosen], (chosen + 1).astype(np.int32)
