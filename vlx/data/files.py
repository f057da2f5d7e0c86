"""Which files, and which of their rows, are a split."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape, glob, has_magic

import numpy as np

from vlx.data.config import DataConfig
from vlx.errors import UserError

SPLIT = "split"  # the column that says which split a row belongs to


@dataclass(frozen=True)
class Files:
    """The files of a split, and how to tell its rows."""

    files: tuple[str, ...]
    split: str
    named: bool  # the files' names say the split: all their rows belong to it
    default: bool  # without a split column all rows belong to it

    def rows(self, values: Sequence[str] | None) -> np.ndarray | None:
        """The rows of the split, int64; None means all. `values`: the split column, if any."""
        if self.named or not self.split or (values is None and self.default):
            return None
        if values is None:
            raise UserError(
                f"{self} does not say which rows are {self.split!r}: it has no column {SPLIT!r}. "
                f"Put a file named {self.split!r} beside it and let data.path name the folder."
            )
        rows = np.flatnonzero([value == self.split for value in values])
        if not len(rows):
            found = sorted(Counter(map(str, values)).items())
            counts = ", ".join(f"{name} ({n})" for name, n in found)
            raise UserError(
                f"{self} has no rows of the split {self.split!r}; it has: {counts or 'no rows'}."
            )
        return rows

    def require_rows(self, rows: int) -> None:
        if not rows:
            raise UserError(f"{self} has no rows; the split {self.split!r} needs at least one.")

    def needs_column(self) -> bool:
        return bool(self.split) and not self.named

    def __str__(self) -> str:
        more = f" and {len(self.files) - 1} more" if len(self.files) > 1 else ""
        return self.files[0] + more


def find_files(config: DataConfig, split: str, endings: tuple[str, ...]) -> Files:
    """The files of `split`: those that its name leads to, else those with a split column.

    data.path may be a file, a pattern (`*.tar`, `{000..011}.tar`) or a folder. In a folder, `train`
    is train.tar, train-*.tar, data/train-*.tar or train/*.tar, else the one file that is there, or
    all if their names differ in numbers only.
    """
    if not config.path:
        raise UserError(f"data.path is empty; the source {config.source!r} needs a file or folder.")
    default = split == config.train_split
    asked = os.path.join(config.path, config.file) if config.file else config.path
    named = "{split}" in asked
    asked, path = asked.replace("{split}", split), config.path.replace("{split}", split)
    if not os.path.isdir(asked):
        files = _match_all(asked, _key(config))
        if not files:
            raise UserError(f"{_key(config)}={asked!r} does not exist.{_contents(path, endings)}")
        return Files(files, split, named, default)
    for files in _candidates(asked, split, endings):
        if files:
            return Files(files, split, True, default)
    files = _files(os.path.join(escape(asked), "*"), endings)
    if len(files) == 1 or (files and named) or _are_shards(files):
        return Files(files, split, named, default)
    reason = "several files could be meant" if files else "there is no such file"
    raise UserError(
        f"data.path={asked!r} holds no {split}{endings[0]} or {split}-*{endings[0]}, and {reason}; "
        f"name it with data.file.{_contents(asked, endings)}"
    )


def _candidates(folder: str, split: str, endings: tuple[str, ...]):
    if not split:
        return
    folder, name = escape(folder), escape(split)
    for pattern in (name, f"{name}-*", f"data/{name}-*", f"{name}/*"):
        yield _files(os.path.join(folder, pattern), endings)


def _files(pattern: str, endings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(file for ending in endings for file in _match(pattern + ending)))


def expand(pattern: str) -> list[str]:
    """The patterns that {000..011} and {a,b} stand for, as shells and WebDataset write them."""
    braces = re.search(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}", pattern)
    if not braces:
        return [pattern]
    first, last, words = braces.groups()
    if words is None:
        words = [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
    else:
        words = words.split(",")
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    return [rest for word in words for rest in expand(before + word + after)]


def _match_all(asked: str, key: str) -> tuple[str, ...]:
    """The files of all patterns that `asked` stands for, of which none may be missing."""
    if os.path.isfile(asked):
        return (asked,)
    patterns = [pattern for part in asked.split("::") for pattern in expand(part)]
    found = [_match(pattern) for pattern in patterns]
    missing = [pattern for pattern, files in zip(patterns, found, strict=True) if not files]
    if missing and len(missing) < len(patterns):
        raise UserError(
            f"{key}={asked!r} means {len(patterns)} files, of which {len(missing)} do not exist, "
            f"such as {missing[0]!r}."
        )
    return tuple(file for files in found for file in files)


def _are_shards(files: tuple[str, ...]) -> bool:
    """Whether names differ in numbers only, as 00000.tar and 00001.tar."""
    return len({re.sub(r"\d+", "#", os.path.basename(file)) for file in files}) == 1


def _match(pattern: str) -> tuple[str, ...]:
    if os.path.isfile(pattern):
        return (pattern,)
    found = glob(pattern) if has_magic(pattern) else []
    return tuple(sorted(file for file in found if os.path.isfile(file)))


def _key(config: DataConfig) -> str:
    return "data.path with data.file" if config.file else "data.path"


def _contents(path: str, endings: tuple[str, ...]) -> str:
    """A sentence on what files there would be."""
    folder = path if os.path.isdir(path) else os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return ""
    names = [os.path.basename(f) for f in _files(os.path.join(escape(folder), "*"), endings)]
    return f" In {folder}: {', '.join(names[:8]) or f'no {endings[0]} files'}."
