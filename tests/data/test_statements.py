"""True or false statements: NLVR, NLVR2, and lists with columns of their own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data.pictures import encoded, picture, write_jsonl

from vlx.data import DataConfig, build_source
from vlx.data.records import annotation
from vlx.errors import UserError

FOLDER = Path(__file__).parents[1] / "data_files" / "annotations"


def source(path, split="train", **config):
    return build_source(DataConfig(path=str(path), **config), split)


def refused(message: str, *arguments, **config):
    with pytest.raises(UserError, match=message):
        source(*arguments, **config)


@pytest.mark.parametrize("inner", ["", "dev", "images/dev"])
def test_pairs_of_nlvr2(tmp_path, inner):
    shutil.copy(FOLDER / "nlvr2" / "dev.json", tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "dev.json").read_text().splitlines()]
    folder = tmp_path / inner
    folder.mkdir(parents=True, exist_ok=True)
    stem = rows[1]["identifier"].rpartition("-")[0]
    for n in range(2):
        (folder / f"{stem}-img{n}.png").write_bytes(encoded(picture(n)))
    for split in ("val", "dev"):
        found = source(tmp_path, split, source="nlvr2")
        assert len(found) == 4
        assert found[1]["image"] == encoded(picture(0))
        assert found[1]["second_image"] == encoded(picture(1))
    records = [found.annotation(n) for n in range(4)]
    assert [record["captions"] for record in records] == [(row["sentence"],) for row in rows]
    assert [record["label"] for record in records] == [row["label"] == "True" for row in rows]
    assert records[0]["sentence"] == records[1]["sentence"] != records[2]["sentence"]
    with pytest.raises(UserError, match=r"dev.json line 3: there is no image 'dev-.*-img0.png' in"):
        found[2]


def test_pairs_of_training_lie_in_numbered_folders(tmp_path):
    row = {"sentence": "a b", "identifier": "train-12-3-0", "label": "True", "directory": 45}
    write_jsonl(tmp_path / "train.json", [row])
    folder = tmp_path / "images" / "train" / "45"
    folder.mkdir(parents=True)
    for n in range(2):
        (folder / f"train-12-3-img{n}.png").write_bytes(encoded(picture(n)))
    assert source(tmp_path, source="nlvr2")[0]["second_image"] == encoded(picture(1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "perhaps"}, "line 2: the label must be true or false, not 'perhaps'"),
        ({"label": None}, "line 2 needs 'label', a text"),
        ({"identifier": "dev-1"}, "line 2: the identifier 'dev-1' must be SPLIT-SET-PAIR-SENTENCE"),
        ({"sentence": ""}, "line 2: 'sentence' holds an empty text"),
    ],
)
def test_mistakes_in_pairs(tmp_path, change, message):
    row = {"sentence": "a b", "identifier": "dev-12-3-0", "label": "True"}
    write_jsonl(tmp_path / "dev.json", [row, {**row, **change}])
    refused(f"dev.json {message}", tmp_path, "dev", source="nlvr2")
    assert len(source(tmp_path, "dev", source="nlvr2", on_error="skip")) == 1
    (tmp_path / "dev.json").write_text("{\n")
    refused("dev.json line 1 is no JSON", tmp_path, "dev", source="nlvr2")
    refused("data.path is empty", "", source="nlvr2")


def test_splits_of_pairs_are_told_by_their_identifiers(tmp_path):
    row = {"sentence": "a b", "label": "True"}
    names = ("dev-1-0-0", "test1-1-0-0", "dev-2-0-0")
    write_jsonl(tmp_path / "all.json", [{**row, "identifier": name} for name in names])
    assert len(source(tmp_path, "val", source="nlvr2")) == 2
    assert len(source(tmp_path, "test", source="nlvr2")) == 1
    assert len(source(tmp_path, "", source="nlvr2")) == 3
    refused(r"no rows of the split 'train'; it has: dev \(2\), test1 \(1\)", tmp_path,
            source="nlvr2")  # fmt: skip


def test_pictures_of_nlvr():
    folder = FOLDER / "nlvr"
    found = source(folder, "val", source="nlvr")
    assert len(found) == 3
    assert found[0]["image"] == (folder / "dev/images/3/dev-1037-0-3.png").read_bytes()
    records = [found.annotation(n) for n in range(3)]
    assert [record["label"] for record in records] == [1, 1, 0]
    assert {record["sentence"] for record in records} == {"1037"}
    assert found.class_names == ("false", "true")


def test_every_order_of_the_boxes_is_a_picture(tmp_path):
    """Identifiers count anew in each split; the split's own pictures are taken."""
    shutil.copytree(FOLDER / "nlvr", tmp_path / "nlvr")
    images = tmp_path / "nlvr" / "dev" / "images" / "3"
    shutil.copy(images / "dev-1037-0-3.png", images / "dev-1037-0-5.png")
    shutil.copy(images / "dev-1037-0-3.png", images / "train-1037-0-1.png")
    found = source(tmp_path / "nlvr", "dev", source="nlvr")
    paths = [found.annotation(n)["picture"] for n in range(len(found))]
    assert [Path(path).name for path in paths[:2]] == ["dev-1037-0-3.png", "dev-1037-0-5.png"]
    assert len(paths) == 4
    (images / "dev-1037-2-0.png").unlink()
    refused("dev.json line 3: there is no picture SPLIT-1037-2-NUMBER.png in .*; set data.image_f",
            tmp_path / "nlvr", "dev", source="nlvr")  # fmt: skip
    assert len(source(tmp_path / "nlvr", "dev", source="nlvr", on_error="skip")) == 3


ROW = {"image_0": "0.png", "image_1": "1.png", "statement": "a b", "label": True}


def test_columns_of_pairs(tmp_path):
    for n in range(2):
        (tmp_path / f"{n}.png").write_bytes(encoded(picture(n)))
    write_jsonl(tmp_path / "train.jsonl", [ROW, {**ROW, "label": "False"}])
    found = source(tmp_path, source="jsonl")
    assert found[0]["image"] == encoded(picture(0))
    assert found[0]["second_image"] == encoded(picture(1))
    assert [found[n]["label"] for n in range(2)] == [1, 0]
    assert found[0]["picture"] == "0.png"
    table = pa.table(
        {"image": [encoded(picture(0))], "right": [encoded(picture(1))], "text": ["a"]}
    )
    pq.write_table(table, tmp_path / "train.parquet")
    found = source(tmp_path, source="parquet", second_image_column="right")
    assert found[0]["second_image"] == encoded(picture(1))
    refused("lacks the column for data.second_image_column", tmp_path, source="parquet",
            second_image_column="left")  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"answer": "red"}, {"answers": ("red",)}),
        ({"answer": 3}, {"answers": ("3",)}),
        ({"answers": ["red", "blue"]}, {"answers": ("red", "blue")}),
        ({"answers": [{"answer": "a", "answer_id": 1}] * 2, "multiple_choice_answer": "b"},
         {"answers": ("a", "a"), "answer": "b"}),
        ({"answers": ["a", "b"], "answer": "b", "question_id": 7, "answer_type": "other"},
         {"answers": ("a", "b"), "answer": "b", "question_id": 7, "answer_type": "other"}),
        ({"answers": None, "question_id": 7}, {"question_id": 7}),
    ],
)  # fmt: skip
def test_columns_of_questions(tmp_path, columns, expected):
    (tmp_path / "0.png").write_bytes(encoded(picture(0)))
    row = {"image": "0.png", "question": "what colour?", **columns}
    write_jsonl(tmp_path / "train.jsonl", [row])
    found = source(tmp_path, source="jsonl")
    usual = {"captions": ("what colour?",), "id": f"{tmp_path}/train.jsonl line 1"}
    assert found.annotation(0) == {**usual, "picture": "0.png", **expected}
    assert found[0] == {"image": encoded(picture(0)), **found.annotation(0)}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "train.parquet")
    read = annotation(source(tmp_path, source="parquet"), 0)
    assert read == {**usual, "id": f"{tmp_path}/train.parquet row 0", **expected}


def test_mistakes_in_columns_of_answers(tmp_path):
    row = {"image": "0.png", "question": "what colour?", "answers": [True]}
    write_jsonl(tmp_path / "train.jsonl", [row])
    with pytest.raises(UserError, match=r"line 1: column 'answers' must be an answer or a list"):
        source(tmp_path, source="jsonl").annotation(0)
    refused("lacks the column for data.answers_column", tmp_path, source="jsonl",
            answers_column="reply")  # fmt: skip


@pytest.mark.parametrize(
    ("about", "each", "length"),
    [
        ("questions", 6, 60_000),
        ("open_questions", 3, 30_000),
        ("statements", 4, 40_000),
        ("pairs", 4, 20_000),
    ],
)
def test_every_text_of_the_world_once(about, each, length):
    found = build_source(DataConfig(source="shapes", about=about), "val", 32)
    assert len(found) == length
    records = [found[n] for n in range(2 * each)]
    for n, record in enumerate(records):
        pictures = {"image", "second_image"} & record.keys()
        assert pictures == ({"image", "second_image"} if about == "pairs" else {"image"})
        assert all(record[name].shape == (32, 32, 3) for name in pictures)
        without = {k: v for k, v in record.items() if k not in pictures}
        assert found.annotation(n) == without
        assert found.captions(n) == record["captions"]
    assert len({record["captions"] for record in records[:each]}) == each
    assert len({record["id"] for record in records}) == 2 * each
    assert len({record["picture"] for record in records}) == 2
    if "questions" in about:
        answers = {record["answers"][0] for record in records}
        assert answers <= set(found.answer_names)
        assert bool(answers & {"yes", "no"}) == (about == "questions")
    else:
        assert {record["label"] for record in records} == {0, 1}
        assert found.class_names == ("false", "true")
    np.testing.assert_array_equal(records[0]["image"], records[each - 1]["image"])
    with pytest.raises(IndexError):
        found[len(found)]


def test_what_the_world_is_asked_about_is_checked():
    with pytest.raises(UserError, match=r"data.about='answers' is unknown; .*questions"):
        DataConfig(source="shapes", about="answers")
