"""WebDataset tars: samples by random access, from an index that is made once."""

import io
import json
import logging
import pickle
import tarfile

import numpy as np
import pytest
from data.pictures import encoded, numbers, picture, sample, write_tar

from vlx.data import DataConfig, build_source
from vlx.data.tar import read_index
from vlx.errors import UserError


@pytest.fixture
def shards(tmp_path):
    """000.tar to 002.tar with 5, 5 and 3 samples."""
    for shard, count in enumerate((5, 5, 3)):
        first = shard * 5
        write_tar(
            tmp_path / f"{shard:03}.tar",
            {f"{n:05}": sample(n) for n in range(first, first + count)},
        )
    return tmp_path


def source(path, split="train", **config):
    return build_source(DataConfig(source="webdataset", path=str(path), **config), split)


@pytest.mark.parametrize(
    "path", ["", "*.tar", "{000..002}.tar", "00{0,1,2}.tar", "{000..001}.tar::{folder}/002.tar"]
)
def test_shards_are_named_as_users_do(shards, path):
    path = str(shards / path) if path else str(shards)
    assert numbers(source(path.replace("{folder}", str(shards)))) == list(range(13))


def test_a_missing_shard_is_told(shards):
    with pytest.raises(
        UserError, match=r"means 6 files, of which 3 do not exist, such as .*003.ta"
    ):
        source(shards / "{000..005}.tar")


def test_names_of_shards_say_their_split(shards):
    (shards / "000.tar").rename(shards / "val-000.tar")
    for shard in (1, 2):
        (shards / f"{shard:03}.tar").rename(shards / f"train-{shard:03}.tar")
    assert numbers(source(shards, "val")) == list(range(5))
    assert numbers(source(shards)) == list(range(5, 13))
    assert numbers(source(shards / "{split}-{001..002}.tar")) == list(range(5, 13))
    with pytest.raises(UserError, match="does not say which rows are 'val'"):
        source(shards / "train-{001..002}.tar", "val")


def test_a_record_has_captions_and_place(shards):
    record = source(shards)[7]
    assert record["image"] == encoded(picture(7))
    assert record["captions"] == ("words on 7",)
    assert record["id"] == f"{shards}/001.tar record 2 (00007)"
    assert source(shards).captions(7) == record["captions"]


def test_captions_and_labels_come_from_members_or_json(tmp_path):
    content = {"caption": ["one", "two"], "image": "http://none", "kind": 2}
    members = sample(3) | {"json": json.dumps(content).encode(), "cls": b"1\n"}
    write_tar(tmp_path / "train.tar", {"a": members})
    assert source(tmp_path)[0]["captions"] == ("words on 3",)
    assert source(tmp_path)[0]["label"] == 1
    other = source(tmp_path, text_column="caption", label_column="kind")
    assert other[0]["captions"] == ("one", "two")
    assert other[0]["label"] == 2
    assert other.captions(0) == ("one", "two")
    with pytest.raises(
        UserError, match=r"text_column .* its columns are: jpg, txt, cls, caption, "
    ):
        source(tmp_path, text_column="words")


def test_samples_are_members_of_one_stem(tmp_path):
    image, words = sample(3).values()
    names = ["x/0.txt", "x/0.seg.png", "x/0.jpg", "y/0.png", "y/0.txt", ".hidden.jpg", "README"]
    contents = {"txt": words, "jpg": image, "png": image}
    with tarfile.open(tmp_path / "train.tar", "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(content := contents.get(name[-3:], b"no picture"))
            tar.addfile(member, io.BytesIO(content))
    assert numbers(source(tmp_path)) == [3, 3]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_and_all_forms_of_tar(tmp_path, form):
    with tarfile.open(tmp_path / "train.tar", "w", format=form) as tar:
        for ending, content in sample(5).items():
            folder = "f" * 120 if form != tarfile.USTAR_FORMAT else "f" * 90
            member = tarfile.TarInfo(f"{folder}/{'n' * 90}.{ending}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    assert numbers(source(tmp_path)) == [5]


def test_the_index_is_made_once_and_again_after_a_change(shards, monkeypatch):
    file = str(shards / "000.tar")
    first = read_index(file)
    assert (shards / "000.tar.index.npz").is_file()
    with monkeypatch.context() as patch:
        patch.setattr("vlx.data.tar.search", None)
        kept = read_index(file)
    np.testing.assert_array_equal(first.start, kept.start)
    np.testing.assert_array_equal(first.size, kept.size)
    write_tar(shards / "000.tar", {"0": sample(90)})
    assert len(read_index(file).start) == 1
    (shards / "000.tar.index.npz").write_bytes(b"words")
    assert len(read_index(file).start) == 1


def test_an_index_that_cannot_lie_beside_its_tar_lies_in_the_cache(shards, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (shards / "000.tar.index.npz").mkdir()  # nothing can be written here
    first = read_index(str(shards / "000.tar"))
    monkeypatch.setattr("vlx.data.tar.search", None)
    np.testing.assert_array_equal(read_index(str(shards / "000.tar")).start, first.start)
    assert len(list((tmp_path / "cache" / "vlx" / "tar").iterdir())) == 1


@pytest.mark.parametrize("cut", [700, 4000, 10_000, -10_000, -1024])
def test_a_truncated_shard_is_told_or_read_up_to_the_break(shards, cut, caplog):
    whole = (shards / "001.tar").read_bytes()
    whole = whole[: whole.rindex(b"words on 9") + 512 + 1024]  # without tarfile's long end
    (shards / "001.tar").write_bytes(whole[:cut])
    with pytest.raises(
        UserError, match=r"001.tar: it is .*, after \d whole records; fetch it anew"
    ):
        source(shards)
    with caplog.at_level(logging.WARNING):
        seen = numbers(source(shards, on_error="skip"))
    assert len(seen) < 13
    middle = len(seen) - 8
    assert seen == [*range(5), *range(5, 5 + middle), 10, 11, 12]
    assert "001.tar: it is" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no readable tar"),
        (b"words" * 300, "no readable tar"),
        (b"\x1f\x8b" * 999, "readable"),
    ],
)
def test_a_file_of_another_kind(tmp_path, content, message):
    (tmp_path / "train.tar").write_bytes(content)
    with pytest.raises(UserError, match=rf"train.tar: .*{message}"):
        source(tmp_path)


def test_bad_samples_are_told_with_shard_and_record(tmp_path):
    good = sample(0)
    bad = {
        "image": ({"txt": b"words"}, "column 'jpg' must be an image"),
        "text": ({"png": good["png"]}, "column 'txt' must be a text"),
        "empty": (good | {"txt": b" \n"}, "column 'txt' holds an empty text"),
        "utf": (good | {"txt": b"\xff\xfe"}, "column 'txt' is not UTF-8"),
    }
    write_tar(tmp_path / "train.tar", {"good": good} | {n: m for n, (m, _) in bad.items()})
    records = source(tmp_path)
    for index, (name, (_, message)) in enumerate(bad.items(), start=1):
        with pytest.raises(UserError, match=rf"train.tar record {index} \({name}\): {message}"):
            records[index]
    for content in (b"{broken", b"[1]", b"[" * 100_000):
        write_tar(tmp_path / "train.tar", {"a": {"png": good["png"], "json": content}})
        with pytest.raises(UserError, match=r"record 0 \(a\): its .json"):
            source(tmp_path, text_column="caption")[0]


def test_a_shard_cut_off_while_it_is_read(shards):
    records = source(shards)
    (shards / "002.tar").write_bytes(b"")
    with pytest.raises(UserError, match=r"002.tar record 1: the file has been cut off since"):
        records[11]


def test_more_shards_than_may_stay_open(shards, monkeypatch):
    monkeypatch.setattr("vlx.data.webdataset._OPEN", 1)
    records = source(shards)
    assert numbers(records) == numbers(records) == list(range(13))
    assert numbers(pickle.loads(pickle.dumps(records))) == list(range(13))
