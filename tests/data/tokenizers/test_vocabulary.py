"""Vocabulary files: where they are looked for, in what order, and the copy that a run keeps."""

import huggingface_hub.constants
import pytest

from vlx.data.tokenizers.vocabulary import Published, find, keep, write
from vlx.errors import UserError

PUBLISHED = Published(
    sets=(("whole.json",), ("words.txt", "merges.txt")),
    remedy="`get words` puts it there",
    packages=("vlx_test_words",),
    repositories=("people/words",),
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty Hugging Face cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_set(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(f"{folder.name} {name}")
    return folder


def write_package(folder):
    """An importable package with the files, whose import would fail."""
    write_set(folder / "vlx_test_words", "words.txt", "merges.txt")
    (folder / "vlx_test_words" / "__init__.py").write_text("raise RuntimeError")


def write_cache(cache):
    """The files as the hub's own client lays them down."""
    repository = cache / "models--people--words"
    write_set(repository / "snapshots" / "c0ffee", "words.txt", "merges.txt")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee")


def look(tmp_path, path=""):
    return find(PUBLISHED, "words", path, str(tmp_path / "run"))


def test_nearer_places_come_first(tmp_path, cache, monkeypatch):
    write_cache(cache)
    assert "snapshots/c0ffee" in look(tmp_path)["words.txt"]
    write_package(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert "site/vlx_test_words" in look(tmp_path)["words.txt"]
    own = str(write_set(tmp_path / "own", "whole.json"))
    assert look(tmp_path, own) == {"whole.json": f"{own}/whole.json"}
    write_set(tmp_path / "run", "words.txt", "merges.txt")
    assert f"{tmp_path}/run" in look(tmp_path, own)["words.txt"]


def test_a_path_may_be_a_file_or_its_folder(tmp_path):
    folder = write_set(tmp_path / "own", "words.txt", "merges.txt", "whole.json")
    assert list(look(tmp_path, str(folder))) == ["whole.json"]
    assert list(look(tmp_path, str(folder / "words.txt"))) == ["words.txt", "merges.txt"]


@pytest.mark.parametrize("name", ["", "words.txt", "other.txt"])
def test_a_path_without_the_files_is_refused(tmp_path, name):
    folder = write_set(tmp_path / "own", "words.txt", "other.txt")
    with pytest.raises(UserError, match=r"is not .*words\.txt with merges\.txt; name such a file"):
        look(tmp_path, str(folder / name))


def test_where_nothing_is_found_the_remedy_is_told(tmp_path):
    with pytest.raises(UserError) as told:
        look(tmp_path)
    assert str(told.value) == (
        "tokenizer.name='words' needs a vocabulary: tokenizer.path is empty, and it is not in the "
        "package vlx_test_words or the Hugging Face cache. `get words` puts it there, or set "
        "tokenizer.path to whole.json or words.txt with merges.txt."
    )


def test_copies_stay_when_the_originals_go(tmp_path):
    files = look(tmp_path, str(write_set(tmp_path / "own", "words.txt", "merges.txt")))
    kept = keep(files, str(tmp_path / "run"))
    for path in files.values():
        (tmp_path / path).unlink()
    assert look(tmp_path, str(tmp_path / "own")) == kept
    assert (tmp_path / "run" / "words.txt").read_text() == "own words.txt"
    assert keep(kept, str(tmp_path / "run")) == kept


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/a\.txt: .*"):
        write(str(tmp_path / "file" / "a.txt"), b"")
