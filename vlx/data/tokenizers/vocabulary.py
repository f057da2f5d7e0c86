"""Vocabulary files that others publish: where they are found, and the copy that a run keeps.

vlx carries none of them and downloads none; a run copies what it used into its own folder, so that
it needs nothing else when it is continued or evaluated on another machine.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from vlx.errors import UserError

Files = Mapping[str, str]  # usual name -> path


@dataclass(frozen=True)
class Published:
    """A vocabulary as others publish it."""

    sets: tuple[tuple[str, ...], ...]  # usual names of files that belong together; the best first
    remedy: str  # how a user gets it, as the beginning of a sentence
    packages: tuple[str, ...] = ()  # Python packages that carry it in their folder
    repositories: tuple[str, ...] = ()  # of the Hugging Face hub


def find(published: Published, kind: str, path: str, folder: str) -> Files:
    """The files in `folder`, else at `path`, else in a package or the Hugging Face cache.

    `path` is a folder, or a file whose companions lie beside it. Raises UserError if none is found.
    """
    kept = _in_folder(published, folder)
    if kept:
        return kept
    if path:
        return _at(published, path)
    sets = [_in_folder(published, place) for place in _package_folders(published.packages)]
    sets += [_in_cache(published, repository) for repository in published.repositories]
    found = next(filter(None, sets), None)
    if found:
        return found
    places = [f"the package {name}" for name in published.packages]
    places += ["the Hugging Face cache"] if published.repositories else []
    searched = f", and it is not in {' or '.join(places)}" if places else ""
    raise UserError(
        f"tokenizer.name={kind!r} needs a vocabulary: tokenizer.path is empty{searched}. "
        f"{published.remedy}, or set tokenizer.path to {_names(published)}."
    )


def keep(files: Files, folder: str) -> Files:
    """Copies in `folder`, of the usual names."""
    copies = {name: os.path.join(folder, name) for name in files}
    for name, path in files.items():
        if os.path.abspath(path) != os.path.abspath(copies[name]):
            with open(path, "rb") as file:
                write(copies[name], file.read())
    return copies


def write(path: str, content: bytes) -> None:
    """All or nothing, also when several hosts write the same content."""
    draft = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(draft, "wb") as file:
            file.write(content)
        os.replace(draft, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error}.") from error


def _in_folder(published: Published, folder: str) -> Files:
    for names in published.sets:
        files = {name: os.path.join(folder, name) for name in names}
        if all(map(os.path.isfile, files.values())):
            return files
    return {}


def _at(published: Published, path: str) -> Files:
    folder, own = (path, "") if os.path.isdir(path) else os.path.split(path)
    sets = tuple(names for names in published.sets if not own or own in names)
    files = _in_folder(Published(sets, ""), folder)
    if not files:
        raise UserError(
            f"tokenizer.path={path!r} is not {_names(published)}; name such a file, or its folder."
        )
    return files


def _package_folders(packages: Iterable[str]) -> list[str]:
    """Where installed packages lie; nothing is imported."""
    specs = filter(None, map(find_spec, packages))
    return [folder for spec in specs for folder in spec.submodule_search_locations or ()]


def _in_cache(published: Published, repository: str) -> Files:
    from huggingface_hub import try_to_load_from_cache

    for names in published.sets:
        paths = [try_to_load_from_cache(repository, name) for name in names]
        if all(isinstance(path, str) for path in paths):
            return dict(zip(names, paths, strict=True))
    return {}


def _names(published: Published) -> str:
    return " or ".join(" with ".join(names) for names in published.sets)
