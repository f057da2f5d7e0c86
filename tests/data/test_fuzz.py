"""Damaged bytes give a record or a UserError, never anything else."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data.pictures import encoded, picture, sample, write_tar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlx.data import DataConfig, build_source
from vlx.data.decode import decode
from vlx.errors import UserError

FOLDER = Path(__file__).parents[1] / "data_files" / "decoder"
PICTURES = (
    *("hopper_gray.jpg", "pil_sample_cmyk.jpg", "Landscape_6.jpg", "progressive.jpg"),
    *("pil123p.png", "i_trns.png", "apng_delay.png", "dispose_bgnd.gif", "animated.webp"),
)

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, on what it finds odd


def tries(count: int):
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def damage(draw) -> list[tuple[str, float, bytes]]:
    """A few changes, each at a place from 0 (start of the file) to 1."""
    kinds = st.sampled_from(["replace", "insert", "cut", "swap"])
    place = st.one_of(st.floats(0, 1), st.floats(0, 0.02), st.floats(0.98, 1))
    change = st.tuples(kinds, place, st.binary(min_size=1, max_size=8))
    return draw(st.lists(change, min_size=1, max_size=5))


def apply(changes: list[tuple[str, float, bytes]], data: bytes) -> bytes:
    for kind, where, content in changes:
        place = int(where * len(data))
        if kind == "replace":
            data = data[:place] + content + data[place + len(content) :]
        elif kind == "insert":
            data = data[:place] + content + data[place:]
        elif kind == "cut" and content[0] < 64:
            data = data[:place]
        elif kind == "swap":
            data = data[:place] + data[place : place + 64][::-1] + data[place + 64 :]
    return data


@tries(250)
@given(st.sampled_from(PICTURES), damage())
def test_damaged_pictures(name, changes):
    try:
        image = decode(apply(changes, (FOLDER / name).read_bytes()), max_pixels=1_000_000)
    except UserError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    assert image.size <= 3_000_000


@tries(60)
@given(st.binary(max_size=200))
def test_bytes_that_never_were_a_picture(data):
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF"):
        with pytest.raises(UserError):
            decode(start + data)


def parquet() -> bytes:
    content = io.BytesIO()
    rows = {
        "image": [encoded(picture(n)) for n in range(5)],
        "text": [f"words on {n}" for n in range(5)],
        "label": [0, 1, 2, 0, 1],
        "split": ["train"] * 4 + ["val"],
    }
    pq.write_table(pa.table(rows), content, row_group_size=2)
    return content.getvalue()


def tar(folder) -> bytes:
    members = {str(n): {**sample(n), "json": b'{"key": 1, "caption": "b"}'} for n in range(4)}
    write_tar(folder / "whole.tar", members)
    return (folder / "whole.tar").read_bytes()[: 4 * 3072 + 1024]


def lines() -> bytes:
    rows = [{"image": "0.png", "text": ["a", "b"], "label": n, "split": "train"} for n in range(5)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


TABLE = b'image,text,label,split\n0.png,"words, ""more""",1,train\n0.png,b,2,train\n0.png,c,0,val\n'


def read_all(folder, source: str, ending: str, content: bytes) -> None:
    """Every record, under both settings of on_error."""
    (folder / "0.png").write_bytes(encoded(picture(0)))
    (folder / f"all.{ending}").write_bytes(content)
    for on_error in ("raise", "skip"):
        (folder / f"all.{ending}.index.npz").unlink(missing_ok=True)
        config = DataConfig(source=source, path=str(folder / f"all.{ending}"), on_error=on_error)
        try:
            records = build_source(config, "train")
        except UserError:
            continue
        for index in range(min(len(records), 20)):
            try:
                record = records[index]
                decode(record["image"])
            except UserError:
                continue
            assert all(caption.encode() for caption in record["captions"])


@tries(80)
@given(damage())
def test_damaged_tars(tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("tar", numbered=True)
    read_all(folder, "webdataset", "tar", apply(changes, tar(folder)))


@tries(60)
@given(damage())
def test_damaged_parquet_files(tmp_path_factory, changes):
    read_all(tmp_path_factory.mktemp("parquet"), "parquet", "parquet", apply(changes, parquet()))


@tries(80)
@given(damage())
def test_damaged_lines(tmp_path_factory, changes):
    read_all(tmp_path_factory.mktemp("jsonl"), "jsonl", "jsonl", apply(changes, lines()))


@tries(80)
@given(damage())
def test_damaged_tables(tmp_path_factory, changes):
    read_all(tmp_path_factory.mktemp("csv"), "csv", "csv", apply(changes, TABLE))
