"""Codes that a visual tokenizer gave once for all epochs, and what they are codes of.

A folder: codes.npy, uint16 or uint32 [N, K, P], and about.json. View k of record n is drawn from
the generator of (seed, n, k), so that training can draw it again.

Letters: N records, K views of each, P patches of a view.
"""

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vlx.config import flat, to_dict
from vlx.data.config import DataConfig
from vlx.errors import UserError

CODES, ABOUT = "codes.npy", "about.json"
About = dict[str, Any]  # what about.json says, but for `done`: how many records have codes
VIEWS = (  # settings that say what training sees of a picture
    *("crop_scale", "crop_ratio", "flip", "jitter", "augment", "augment_count", "augment_level"),
    *("interpolation", "target_size", "target_interpolation", "fast_decode"),
)
RECORDS = (  # settings that say which pictures there are, and in which order
    *("source", "path", "name", "file", "train_split", "mixture", "image_column", "image_folder"),
    *("objects", "about", "least_words"),
)


def settings(config: DataConfig, size: tuple[int, int]) -> About:
    """What views follow from; size: height and width of the image that the model sees."""
    data = {name: to_dict(getattr(config, name)) for name in (*RECORDS, *VIEWS)}
    return {"size": list(size), "data": data}


class Codes:
    """A finished folder; `codes[n]` is [K, P]. Nothing is read before it is asked for."""

    def __init__(self, folder: str):
        """Raises UserError for a folder that is missing or not finished."""
        found = _read(Path(folder))
        if found is None:
            raise UserError(
                f"data.codes={folder!r}: there is no {ABOUT} in such a folder; make it with "
                "python -m vlx codes."
            )
        self.folder, (self.about, done) = folder, found
        if done < self.about["records"]:
            raise UserError(
                f"data.codes={folder!r} is not finished: {done} of {self.about['records']} records "
                "have codes; give the command that made it again, and it goes on."
            )

    def check(self, now: Mapping[str, Any]) -> None:
        """Refuses codes of other views, pictures or tokenizers than those of `now`."""
        if different := _differences(self.about, now):
            raise UserError(
                f"data.codes={self.folder!r} holds codes of something else: {different}. Set what "
                "they were made with, or make others with python -m vlx codes."
            )

    @cached_property
    def _array(self) -> np.ndarray:
        path = Path(self.folder) / CODES
        try:
            array = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}); make the codes anew.") from error
        if array.shape != _shape(self.about):
            raise UserError(
                f"{path} holds {array.shape}, {ABOUT} speaks of {_shape(self.about)}; make the "
                "codes anew."
            )
        return array

    def __getitem__(self, index: int) -> np.ndarray:
        return self._array[index]

    def seeds(self, index: int) -> list[tuple[int, int, int]]:
        return view_seeds(self.about["seed"], index, self.about["views"])

    def __reduce__(self):  # another process opens the file for itself
        return Codes, (self.folder,)


def view_seeds(seed: int, index: int, views: int) -> list[tuple[int, int, int]]:
    """What the generators of a record's views are made from."""
    return [(seed, index, view) for view in range(views)]


def begun(folder: Path, about: About) -> int:
    """How many records of these codes the folder holds. Raises UserError if it holds others."""
    found = _read(folder)
    if found is None:
        return 0
    before, done = found
    if different := _differences(before, about):
        raise UserError(
            f"{folder} holds other codes: {different}. Give another --output, or the same settings "
            "to go on."
        )
    return done


class CodesWriter:
    """Writes the codes of one record after the other, through a memory map; use it in a `with`.

    What was added counts from `save` on, which is also done at the end, whatever ends the work.
    """

    def __init__(self, folder: Path, about: About, done: int):
        """Raises UserError where there is no room for all of them."""
        self._folder, self._about, self.done = folder, about, done
        path = folder / CODES
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not done:
                _reserve(path, about)
            self._array = np.load(path, mmap_mode="r+")
            self.save()
        except OSError as error:
            raise UserError(
                f"--output={folder} cannot be written: {error.strerror}. The codes take "
                f"{size_in_bytes(about) / 2**20:,.1f} MiB."
            ) from error

    def add(self, codes: np.ndarray) -> None:
        """codes: [n, K, P] of the next n records."""
        self._array[self.done : self.done + len(codes)] = codes
        self.done += len(codes)

    def save(self) -> None:
        self._array.flush()
        fresh = self._folder / f"{ABOUT}.tmp"
        fresh.write_text(json.dumps({**self._about, "done": self.done}, indent=2) + "\n")
        os.replace(fresh, self._folder / ABOUT)

    def __enter__(self) -> "CodesWriter":
        return self

    def __exit__(self, *_) -> None:
        self.save()


def size_in_bytes(about: About) -> int:
    """Of all codes."""
    return int(np.prod(_shape(about))) * _dtype(about).itemsize


def _reserve(path: Path, about: About) -> None:
    """Makes the file, so that a full disk is told now: a memory map could not tell it later."""
    np.lib.format.open_memmap(path, mode="w+", dtype=_dtype(about), shape=_shape(about))
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError:
        path.unlink()
        raise


def _shape(about: About) -> tuple[int, int, int]:
    return about["records"], about["views"], about["patches"]


def _dtype(about: About) -> np.dtype:
    """The smallest that holds every code."""
    return np.dtype(np.uint16 if about["codes"] <= 1 << 16 else np.uint32)


def _read(folder: Path) -> tuple[About, int] | None:
    """What about.json says, and how many records are done; None where there is none."""
    path = folder / ABOUT
    if not path.is_file():
        return None
    try:
        about = json.loads(path.read_text())
        return about, about.pop("done")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{path} is not what python -m vlx codes writes.") from error


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """'data.flip was True, is False; ...' of all that `now` says."""
    old, new = flat(before), flat(now)
    different = [name for name in new if old.get(name) != new[name]]
    return "; ".join(f"{name} was {old.get(name)!r}, is {new[name]!r}" for name in different)
