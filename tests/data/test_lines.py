"""Lines: what Python's own reading finds, whatever the file and however it is cut."""

import pickle

import numpy as np
import pytest

from vlx.data import lines
from vlx.data.lines import Lines

CONTENTS = {
    "plain": b"one\ntwo\nthree\n",
    "no end": b"one\n\n  \t\ntwo",
    "blank": b"\n\n \n",
    "returns": b"\r\none\r\n \r\ntwo words\r\n",
    "empty": b"",
    "a blank last line": b"one\n   ",
}


def expected(content: bytes) -> list[tuple[bytes, int]]:
    split = enumerate(content.split(b"\n"), start=1)
    return [(line, number) for number, line in split if line and not line.isspace()]


@pytest.mark.parametrize("chunk", [1, 2, 5, 1 << 24])
@pytest.mark.parametrize("name", CONTENTS)
def test_lines_are_those_that_are_not_blank(tmp_path, monkeypatch, name, chunk):
    monkeypatch.setattr(lines, "CHUNK", chunk)
    path = tmp_path / "a.txt"
    path.write_bytes(CONTENTS[name])
    found = Lines([str(path)])
    got = [found[n] for n in range(len(found))]
    assert got == [(line, f"{path} line {n}") for line, n in expected(CONTENTS[name])]


def test_files_follow_each_other_and_lines_may_be_chosen(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(f"{name}1\n\n{name}2\n" if name != "b" else "\n")
    found = Lines([str(tmp_path / name) for name in "abc"])
    assert [found[n][0] for n in range(len(found))] == [b"a1", b"a2", b"c1", b"c2"]
    found.keep(np.array([3, 0]))
    again = pickle.loads(pickle.dumps(found))
    assert [again[n] for n in range(2)] == [
        (b"c2", f"{tmp_path / 'c'} line 3"),
        (b"a1", f"{tmp_path / 'a'} line 1"),
    ]
