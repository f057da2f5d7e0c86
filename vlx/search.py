"""Pictures of a folder by what is in them: an index of vectors on disk, kept up to date.

Letters: N pictures, E embedding.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vlx.data.decode import decode
from vlx.errors import UserError
from vlx.interop.pretrained import Pretrained

INDEX = ".vlx_index.npz"  # in the folder itself, unless another place is named
ENDINGS = (
    ".avif",
    ".bmp",
    ".gif",
    ".jp2",
    ".jpeg",
    ".jpg",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
CHUNK = 256  # pictures in memory at a time


class ImageEncoder(Protocol):
    """What is asked of a model, as `vlx.load` returns it."""

    pretrained: Pretrained

    def encode_image(self, images: Sequence[np.ndarray]) -> np.ndarray: ...


@dataclass(frozen=True)
class Index:
    """Vectors of pictures, and by what they are known to be of these files and this model."""

    model: str  # fingerprint
    names: np.ndarray  # [N], paths relative to the folder
    stamps: np.ndarray  # int64 [N, 2]: bytes, nanoseconds of the last change
    vectors: np.ndarray  # float32 [N, E], unit length


@dataclass(frozen=True)
class Update:
    """An index that is up to date, and what it took."""

    index: Index
    encoded: int  # pictures that were new or changed
    unreadable: tuple[str, ...]  # what was wrong, one line for each


def update(folder: Path, model: ImageEncoder, path: Path | None = None) -> Update:
    """Reads the folder's index, encodes what is new or changed, and writes it again.

    Pictures in folders below count too, hidden ones do not. Raises UserError if there are no
    pictures, or the index can be neither read nor written.
    """
    path = path or folder / INDEX
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give one with pictures.")
    stamps = {name: _stamp(folder / name) for name in _pictures(folder)}
    if not stamps:
        raise UserError(f"{folder} holds no pictures ({', '.join(ENDINGS)}).")
    mark = fingerprint(model.pretrained)
    known = _known(path, mark, stamps)
    fresh = [name for name in stamps if name not in known]
    unreadable = []
    for start in range(0, len(fresh), CHUNK):
        pixels = {}
        for name in fresh[start : start + CHUNK]:
            try:
                content = (folder / name).read_bytes()
                pixels[name] = model.pretrained.pixels.resize(decode(content))
            except (UserError, OSError) as error:
                unreadable.append(f"{name}: {error}")
        if pixels:
            known |= zip(pixels, model.encode_image(list(pixels.values())), strict=True)
    if not known:
        raise UserError(f"{folder}: no picture can be read. {unreadable[0]}")
    names = sorted(known)
    index = Index(
        mark,
        np.array(names),
        np.array([stamps[name] for name in names], np.int64),
        np.stack([known[name] for name in names]),
    )
    _write(path, index)
    return Update(index, len(fresh) - len(unreadable), tuple(unreadable))


def nearest(index: Index, vector: np.ndarray, most: int) -> list[tuple[str, float]]:
    """Names and cosines of the pictures nearest to a unit vector [E], the nearest first."""
    cosines = index.vectors @ vector
    order = np.argsort(-cosines, kind="stable")[:most]
    return [(str(index.names[n]), float(cosines[n])) for n in order]


def fingerprint(pretrained: Pretrained) -> str:
    """What changes with any parameter, or with how pictures are put to the model."""
    digest = hashlib.blake2b(repr(pretrained.pixels).encode(), digest_size=16)
    for path in sorted(pretrained.params):
        digest.update(path.encode())
        digest.update(np.asarray(pretrained.params[path], order="C").tobytes())
    return digest.hexdigest()


def _pictures(folder: Path) -> Iterable[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                yield (Path(place) / name).relative_to(folder).as_posix()


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _known(path: Path, model: str, stamps: dict[str, tuple[int, int]]) -> dict[str, np.ndarray]:
    """Vectors of an earlier index that are still true."""
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            index = Index(str(file["model"]), file["names"], file["stamps"], file["vectors"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is no index of pictures, or is damaged; remove it, or give another --index."
        ) from error
    if index.model != model:
        return {}
    rows = zip(index.names.tolist(), index.stamps.tolist(), index.vectors, strict=True)
    return {name: vector for name, stamp, vector in rows if stamps.get(name) == tuple(stamp)}


def _write(path: Path, index: Index) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            np.savez(
                file,
                model=index.model,
                names=index.names,
                stamps=index.stamps,
                vectors=index.vectors,
            )
        os.replace(draft, path)
    except OSError as error:
        raise UserError(
            f"The index cannot be written to {path}: {error.strerror}. Give another --index."
        ) from error
