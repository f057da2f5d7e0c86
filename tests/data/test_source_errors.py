"""What is wrong with data is told with the file, the place and the remedy."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data.pictures import encoded, numbers, picture, write_jsonl

from vlx.data import DataConfig, build_source
from vlx.errors import UserError


def refused(message: str, split: str = "train", **config):
    with pytest.raises(UserError, match=message):
        build_source(DataConfig(**config), split)


def bad_record(source, index: int, message: str):
    with pytest.raises(UserError, match=message):
        source[index]


def test_unknown_source():
    refused("data.source='parket' is unknown; did you mean 'parquet'", source="parket", path="x")


@pytest.mark.parametrize("source", ["parquet", "jsonl", "csv"])
def test_missing_path(tmp_path, source):
    refused("data.path is empty; the source", source=source)
    refused("data.path='/none/x' does not exist", source=source, path="/none/x")
    refused("data.path='.*' holds no train.* and there is no such file", source=source,
            path=str(tmp_path))  # fmt: skip


def test_a_missing_file_names_those_there_are(jsonl_folder):
    refused("data.path with data.file='.*texts.jsonl' does not exist. In .*: captions.jsonl",
            source="jsonl", path=str(jsonl_folder), file="texts.jsonl")  # fmt: skip


def test_several_files_that_could_be_meant(jsonl_folder):
    write_jsonl(jsonl_folder / "questions.jsonl", [{}])
    refused("several files could be meant; name it with data.file. In .*: captions.jsonl, quest",
            source="jsonl", path=str(jsonl_folder))  # fmt: skip


def test_empty_split(jsonl_folder):
    refused(r"no rows of the split 'test'; it has: train \(11\), val \(5\)", split="test",
            source="jsonl", path=str(jsonl_folder))  # fmt: skip


def test_rows_without_a_split_serve_training_only(tmp_path):
    write_jsonl(tmp_path / "all.jsonl", [{"image": "0.png", "text": "words"}])
    config = {"source": "jsonl", "path": str(tmp_path)}
    assert len(build_source(DataConfig(**config), "train")) == 1
    refused("does not say which rows are 'val': it has no column 'split'", split="val", **config)


def test_files_without_rows(tmp_path):
    (tmp_path / "train.jsonl").write_text("\n")
    refused("train.jsonl has no rows", source="jsonl", path=str(tmp_path))
    (tmp_path / "train.csv").write_text("image,text\n")
    refused("train.csv has no rows", source="csv", path=str(tmp_path))
    empty = pa.table({"image": pa.array([], pa.binary()), "text": pa.array([], pa.string())})
    pq.write_table(empty, tmp_path / "train.parquet")
    refused("train.parquet has no rows", source="parquet", path=str(tmp_path))


@pytest.mark.parametrize("kind", ["image", "text", "label"])
def test_missing_columns(parquet_folder, kind):
    refused(rf"lacks the column for data.{kind}_column .* are: image, label, text",
            source="parquet", path=str(parquet_folder), **{f"{kind}_column": "none"})  # fmt: skip


def test_class_templates_need_labels_and_names(jsonl_folder, parquet_folder):
    config = {"captions_from": "class_templates"}
    refused("lacks the column for data.label_column", source="jsonl", path=str(jsonl_folder),
            **config)  # fmt: skip
    (parquet_folder / "classnames.txt").unlink()
    config |= {"source": "parquet", "path": str(parquet_folder)}
    refused("'class_templates' needs class names; put classnames.txt", **config)
    refused("data.class_names='/none/a.txt' does not exist", class_names="/none/a.txt", **config)
    (parquet_folder / "two.txt").write_text("frog\nship\n")
    names = str(parquet_folder / "two.txt")
    source = build_source(DataConfig(class_names=names, **config), "train")
    bad_record(source, 2, "train.parquet row 2: label 2 has no class name; there are 2")


def test_files_of_another_kind(tmp_path):
    (tmp_path / "train.parquet").write_text("words")
    refused("train.parquet is no readable Parquet file", source="parquet", path=str(tmp_path))
    (tmp_path / "train.jsonl").write_text("words\n")
    refused("train.jsonl line 1 is no JSON", source="jsonl", path=str(tmp_path))
    (tmp_path / "train.jsonl").write_text("[1]\n")
    refused("train.jsonl line 1 must be a JSON object", source="jsonl", path=str(tmp_path))
    (tmp_path / "train.csv").write_text("image,text\na.png,b,c,d\n")
    refused("train.csv is no readable table", source="csv", path=str(tmp_path))


def test_tables_of_different_columns(tmp_path):
    (tmp_path / "train-0.csv").write_text("image,text\na.png,b\n")
    (tmp_path / "train-1.csv").write_text("image,caption\na.png,b\n")
    refused("train-1.csv has the columns image, caption, but .* image, text",
            source="csv", path=str(tmp_path))  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"image": "none.png"},
            "line 2: there is no image 'none.png' in .*; set data.image_folder",
        ),
        ({"image": None}, "line 2: column 'image' must be an image file's content or its path"),
        ({"image": "."}, "line 2: cannot read the image: .*directory"),
        ({"text": None}, "line 2: column 'text' must be a text or a list of texts, not None"),
        ({"text": []}, "line 2: column 'text' must be a text"),
        ({"text": [3]}, "line 2: column 'text' must be a text"),
        ({"label": "dog"}, "line 2: column 'label' must be a number or a class name, not 'dog'"),
        ({"label": None}, "line 2: column 'label' must be a number"),
    ],
)
def test_bad_records(tmp_path, row, message):
    (tmp_path / "0.png").write_bytes(encoded(picture(0)))
    good = {"image": "0.png", "text": "words", "label": 3}
    write_jsonl(tmp_path / "train.jsonl", [good, {**good, **row}])
    source = build_source(DataConfig(source="jsonl", path=str(tmp_path)), "train")
    assert source[0]["label"] == 3
    bad_record(source, 1, message)


def test_a_broken_line_in_the_middle(tmp_path):
    good = json.dumps({"image": "0.png", "text": "words"})
    (tmp_path / "train.jsonl").write_text(good + "\n{broken\n")
    source = build_source(DataConfig(source="jsonl", path=str(tmp_path)), "train")
    bad_record(source, 1, "train.jsonl line 2 is no JSON")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"captions_from": "texts"}, "data.captions_from='texts' is unknown; did you mean 'text'"),
        ({"caption": "last"}, "data.caption='last' is unknown; It can be: random, first"),
        ({"resize_mode": "shrtest"}, "data.resize_mode='shrtest' .* did you mean 'shortest'"),
        ({"interpolation": "cubic"}, "data.interpolation='cubic' .* did you mean 'bicubic'"),
        ({"crop_scale": (0.5, 1.5)}, "data.crop_scale=.* increasing order, the larger at most 1"),
        ({"crop_ratio": (2.0, 1.0)}, "data.crop_ratio=.* increasing order"),
        ({"workers": -1}, "data.workers=-1 must be 0 or more"),
        ({"templates": ("a photo",)}, "data.templates: 'a photo' has no '{}'"),
        ({"templates": (), "captions_from": "class_templates"}, "data.templates is empty"),
    ],
)
def test_impossible_configurations(config, message):
    with pytest.raises(UserError, match=message):
        DataConfig(**config)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (" \n", "column 'text' holds an empty text"),
        (["words", ""], "column 'text' holds an empty text"),
        ("half \ud83d", "column 'text' is no valid Unicode"),
        ({"a": "words"}, "column 'text' must be a text"),
    ],
)
def test_bad_captions(tmp_path, value, message):
    (tmp_path / "0.png").write_bytes(encoded(picture(0)))
    write_jsonl(tmp_path / "train.jsonl", [{"image": "0.png", "text": value}])
    source = build_source(DataConfig(source="jsonl", path=str(tmp_path)), "train")
    bad_record(source, 0, f"train.jsonl line 1: {message}")


def test_texts_that_are_not_utf_8(tmp_path):
    (tmp_path / "0.png").write_bytes(encoded(picture(0)))
    (tmp_path / "train.tsv").write_bytes(b"filepath\ttitle\n0.png\tgood\n0.png\tb\xe4d\n")
    source = build_source(DataConfig(source="csv", path=str(tmp_path)), "train")
    assert source[0]["captions"] == ("good",)
    bad_record(source, 1, "train.tsv row 1: column 'title' is not UTF-8")
    (tmp_path / "train.jsonl").write_bytes(b'{"image": "0.png", "text": "b\xe4d"}\n')
    refused("train.jsonl line 1 is no JSON: .*utf-8", source="jsonl", path=str(tmp_path))
    text = pa.array([b"good", b"b\xe4d"]).view(pa.string())
    rows = {"image": [encoded(picture(0))] * 2, "text": text}
    pq.write_table(pa.table(rows), tmp_path / "train.parquet")
    source = build_source(DataConfig(source="parquet", path=str(tmp_path)), "train")
    assert source[0]["captions"] == ("good",)
    bad_record(source, 1, "train.parquet row 1 is damaged: .*utf-8")


def test_a_shard_that_lacks_a_column(tmp_path):
    rows = {"image": [encoded(picture(0))], "text": ["words"]}
    pq.write_table(pa.table(rows), tmp_path / "train-0.parquet")
    pq.write_table(pa.table({"image": rows["image"]}), tmp_path / "train-1.parquet")
    refused("train-1.parquet must have one column 'text', as .*train-0.parquet has; .* are: image",
            source="parquet", path=str(tmp_path))  # fmt: skip


def test_a_truncated_shard_is_told_or_left_out(tmp_path, caplog):
    for shard in range(3):
        rows = {"image": [encoded(picture(shard))], "text": ["words"]}
        pq.write_table(pa.table(rows), tmp_path / f"train-{shard}.parquet")
    bad = tmp_path / "train-1.parquet"
    bad.write_bytes(bad.read_bytes()[:200])
    config = {"source": "parquet", "path": str(tmp_path)}
    refused("train-1.parquet is no readable Parquet file", **config)
    source = build_source(DataConfig(on_error="skip", **config), "train")
    assert numbers(source) == [0, 2]
    assert "left out: " in caplog.text
    assert "train-1.parquet" in caplog.text


def test_rows_of_another_width_are_told_or_left_out(tmp_path, caplog):
    (tmp_path / "0.png").write_bytes(encoded(picture(0)))
    (tmp_path / "train.csv").write_text("image,text\n0.png,a\n0.png,b,c,d\n0.png,e\n")
    config = {"source": "csv", "path": str(tmp_path)}
    refused("train.csv is no readable table: .*Expected 2 columns, got 4: 0.png,b,c,d", **config)
    source = build_source(DataConfig(on_error="skip", **config), "train")
    assert [source.captions(n) for n in range(len(source))] == [("a",), ("e",)]
    assert "a row of 4 values in 2 columns is left out: '0.png,b,c,d'" in caplog.text


def test_a_broken_line_belongs_to_no_split(tmp_path):
    rows = [{"image": "0.png", "text": "words", "split": s} for s in ("train", "val", "train")]
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "all.jsonl").write_text("\n".join(["{broken", *lines, "[broken"]))
    config = {"source": "jsonl", "path": str(tmp_path)}
    refused("all.jsonl line 1 is no JSON", **config)
    assert len(build_source(DataConfig(on_error="skip", **config), "train")) == 2


def test_other_unusual_rows(tmp_path):
    (tmp_path / "train.csv").write_text("text,text\na,b\n")
    refused("train.csv has two columns of the same name", source="csv", path=str(tmp_path))
    (tmp_path / "0.png").write_bytes(encoded(picture(0)))
    row = {"image": "0.png", "text": "words", "label": 0}
    changes = [
        {"image": "a\0b"},
        {"label": 1e999},
        {"label": 2**31},
        {"text": "x" * 999 + "\udc00"},
    ]
    write_jsonl(tmp_path / "train.jsonl", [row, *({**row, **change} for change in changes)])
    source = build_source(DataConfig(source="jsonl", path=str(tmp_path)), "train")
    bad_record(source, 1, "cannot read the image: embedded null byte")
    bad_record(source, 2, "must be a number or a class name, not inf")
    bad_record(source, 3, "the label 2147483648 is too large")
    bad_record(source, 4, "no valid Unicode")
