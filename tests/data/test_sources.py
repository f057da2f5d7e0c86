"""Sources: the rows that belong to a split, as records, from data as they lie."""

import io
import json
import logging
import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data.pictures import encoded, numbers, picture, write_jsonl

from vlx.data import DataConfig, build_source
from vlx.data.decode import decode
from vlx.data.files import expand


def test_a_folder_of_parquet_files_is_split_by_name(parquet_folder):
    config = DataConfig(source="parquet", path=str(parquet_folder))
    assert numbers(build_source(config, "train")) == list(range(23))
    assert numbers(build_source(config, "val")) == list(range(100, 107))


def test_a_parquet_record_has_image_captions_label_and_place(parquet_folder):
    source = build_source(DataConfig(source="parquet", path=str(parquet_folder)), "train")
    record = source[7]  # the third row of the second group
    assert record["captions"] == ("picture number 7 of a ship",)
    assert record["label"] == 1
    assert record["id"] == f"{parquet_folder}/train.parquet row 7"
    assert record["image"] == encoded(picture(7))
    assert source.captions(7) == record["captions"]
    assert source.class_names == ("frog", "ship", "horse")


def test_row_groups_that_are_not_kept_are_read_again(parquet_folder, monkeypatch):
    monkeypatch.setattr("vlx.data.parquet.CACHE", 1)
    source = build_source(DataConfig(source="parquet", path=str(parquet_folder)), "train")
    assert numbers(source) == numbers(source) == list(range(23))
    assert len(source._cache._tables) == 1


@pytest.mark.parametrize(
    "names",
    [("train-0.parquet", "train-1.parquet"), ("data/train-0.parquet", "data/train-1.parquet"),
     ("train/a.parquet", "train/b.parquet")],
)  # fmt: skip
def test_shards_are_read_one_after_the_other(tmp_path, names):
    for shard, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        images = [encoded(picture(n)) for n in range(shard * 3, shard * 3 + 3)]
        pq.write_table(pa.table({"image": images, "text": ["words"] * 3}), tmp_path / name)
    source = build_source(DataConfig(source="parquet", path=str(tmp_path)), "train")
    assert numbers(source) == list(range(6))
    assert source[4]["id"] == f"{tmp_path / names[1]} row 1"


def test_a_pattern_with_the_split_is_filled_in(tmp_path):
    for split, first in (("train", 0), ("val", 5)):
        rows = {"image": [encoded(picture(first))], "text": ["words"]}
        pq.write_table(pa.table(rows), tmp_path / f"photos_{split}_0.parquet")
    config = DataConfig(source="parquet", path=str(tmp_path), file="photos_{split}_*.parquet")
    assert numbers(build_source(config, "train")) == [0]
    assert numbers(build_source(config, "val")) == [5]


def test_parquet_images_may_be_structs_or_paths(tmp_path):
    (tmp_path / "1.png").write_bytes(encoded(picture(1)))
    values = [{"bytes": encoded(picture(0)), "path": None}, {"bytes": None, "path": "1.png"}]
    pq.write_table(pa.table({"image": values, "text": ["a", "b"]}), tmp_path / "train.parquet")
    config = DataConfig(source="parquet", path=str(tmp_path))
    assert numbers(build_source(config, "train")) == [0, 1]
    pq.write_table(pa.table({"img": ["1.png"], "text": [["a", "b"]]}), tmp_path / "train.parquet")
    source = build_source(config, "train")
    assert numbers(source) == [1]
    assert source[0]["captions"] == ("a", "b")


@pytest.mark.parametrize(
    ("path", "file"), [("captions.jsonl", ""), ("", "captions.jsonl"), ("", "")]
)
def test_a_split_column_chooses_rows(jsonl_folder, path, file):
    config = DataConfig(source="jsonl", path=str(jsonl_folder / path), file=file)
    assert numbers(build_source(config, "val")) == [1, 4, 7, 10, 13]
    train = build_source(config, "train")
    assert numbers(train) == [0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15]
    assert train[1]["captions"] == ("first words on 2", "other words on 2")
    assert train[1]["id"] == f"{jsonl_folder}/captions.jsonl line 3"
    assert numbers(build_source(config, "")) == list(range(16))


def test_parquet_too_has_a_split_column(tmp_path):
    rows = {
        "image": [encoded(picture(n)) for n in range(7)],
        "text": ["words"] * 7,
        "split": ["train", "val"] * 3 + ["val"],
    }
    pq.write_table(pa.table(rows), tmp_path / "all.parquet", row_group_size=2)
    config = DataConfig(source="parquet", path=str(tmp_path / "all.parquet"))
    assert numbers(build_source(config, "val")) == [1, 3, 5, 6]
    assert build_source(config, "val")[3]["id"].endswith("all.parquet row 6")


def test_blank_lines_are_no_rows(tmp_path):
    (tmp_path / "0.png").write_bytes(encoded(picture(0)))
    row = '{"image": "0.png", "text": "words"}'
    (tmp_path / "train.jsonl").write_text(f"\n{row}\n\n{row}")
    source = build_source(DataConfig(source="jsonl", path=str(tmp_path)), "train")
    assert len(source) == 2
    assert source[1]["id"].endswith("train.jsonl line 4")


def test_images_may_lie_beside_the_list_in_images_or_elsewhere(tmp_path):
    for number, folder in enumerate(("set", "set/images", "else")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{number}.png").write_bytes(encoded(picture(number)))
    rows = [{"image": f"{n}.png", "text": "words"} for n in (0, 1)]
    write_jsonl(tmp_path / "set" / "train.jsonl", rows)
    config = DataConfig(source="jsonl", path=str(tmp_path / "set"))
    assert numbers(build_source(config, "train")) == [0, 1]
    write_jsonl(tmp_path / "set" / "train.jsonl", [{"image": "2.png", "text": "words"}])
    config = replace(config, image_folder=str(tmp_path / "else"))
    assert numbers(build_source(config, "train")) == [2]


@pytest.mark.parametrize(("ending", "mark"), [("csv", ","), ("tsv", "\t"), ("csv", "\t")])
def test_tables_have_one_caption_a_row(tmp_path, ending, mark):
    (tmp_path / "0.png").write_bytes(encoded(picture(0)))
    lines = [
        ("filepath", "title", "label"),
        ("0.png", '"a ""b""\nc"', "ship"),
        ("0.png", "NA", "0"),
    ]
    content = "".join(mark.join(line) + "\n" for line in lines)
    (tmp_path / f"train.{ending}").write_text(content)
    (tmp_path / "classnames.txt").write_text("frog\nship\n")
    source = build_source(DataConfig(source="csv", path=str(tmp_path)), "train")
    assert numbers(source) == [0, 0]
    assert [source[n]["captions"] for n in (0, 1)] == [('a "b"\nc',), ("NA",)]
    assert [source[n]["label"] for n in (0, 1)] == [1, 0]


def test_several_tables_are_one(tmp_path):
    for shard in range(2):
        (tmp_path / f"train-{shard}.csv").write_text(f"image,text\nx.png,words {shard}\n")
    source = build_source(DataConfig(source="csv", path=str(tmp_path)), "train")
    assert [source.captions(n) for n in (0, 1)] == [("words 0",), ("words 1",)]


def test_templates_write_captions_from_class_names(parquet_folder):
    config = DataConfig(
        source="parquet",
        path=str(parquet_folder),
        captions_from="class_templates",
        templates=("a photo of a {}.", "a small {}."),
    )
    source = build_source(config, "train")
    assert source[4]["captions"] == ("a photo of a ship.", "a small ship.")
    every = {caption for index in range(3) for caption in source.captions(index)}
    assert len(every) == 6  # two templates, three classes


@pytest.mark.parametrize("name", ["parquet", "jsonl", "csv"])
def test_a_used_source_pickles(parquet_folder, jsonl_folder, name):
    (jsonl_folder / "captions.csv").write_text("image,text,split\nimages/2.png,two,train\n")
    config = DataConfig(source=name, path=str(jsonl_folder))
    source = build_source(config, "train")
    want = source[0]
    content = io.BytesIO()
    pickle.dump(source, content)
    got = pickle.loads(content.getvalue())
    assert len(got) == len(source)
    assert got[0] == want
    np.testing.assert_array_equal(decode(got[0]["image"]), decode(want["image"]))


def test_files_of_hugging_face_datasets(tmp_path):
    """data/train-00000-of-00002.parquet, images as structures, class names in the schema."""
    (tmp_path / "data").mkdir()
    label = {"names": ["frog", "ship"], "_type": "ClassLabel"}
    info = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
    for shard in range(2):
        rows = {
            "image": [{"bytes": encoded(picture(shard)), "path": f"{shard}.png"}],
            "label": [shard],
        }
        table = pa.table(rows).replace_schema_metadata({"huggingface": json.dumps(info)})
        pq.write_table(table, tmp_path / "data" / f"train-{shard:05}-of-00002.parquet")
    config = DataConfig(source="parquet", path=str(tmp_path), captions_from="class_templates")
    source = build_source(config, "train")
    assert numbers(source) == [0, 1]
    assert source.class_names == ("frog", "ship")
    assert source[1]["captions"] == ("a photo of a ship.",)
    (tmp_path / "classnames.txt").write_text("one\ntwo\n")  # a file that is named so says more
    assert build_source(config, "train").class_names == ("one", "two")


def test_parquet_of_img2dataset_leaves_failed_downloads_out(tmp_path, caplog):
    for shard in range(2):
        rows = {
            "url": ["http://none"] * 3,
            "caption": ["words"] * 3,
            "status": ["success", "failed_to_download", "success"],
            "error_message": [None, "404", None],
            "jpg": [encoded(picture(shard * 3)), None, encoded(picture(shard * 3 + 2))],
            "txt": [f"words {shard}", None, "words"],
        }
        pq.write_table(pa.table(rows), tmp_path / f"{shard:05}.parquet")
    with caplog.at_level(logging.WARNING):
        source = build_source(DataConfig(source="parquet", path=str(tmp_path)), "train")
    assert numbers(source) == [0, 2, 3, 5]
    assert source[2]["captions"] == ("words 1",)
    assert source[1]["id"].endswith("00000.parquet row 2")
    assert "2 of 6 rows are left out" in caplog.text


def test_captions_in_templates(jsonl_folder):
    templates = ("{}", "a photo: {}")
    config = DataConfig(source="jsonl", path=str(jsonl_folder), caption_templates=templates)
    source = build_source(config, "val")
    assert source[0]["captions"] == (
        "first words on 1",
        "a photo: first words on 1",
        "other words on 1",
        "a photo: other words on 1",
    )
    assert source.captions(1) == ("a photo: first words on 4", "a photo: other words on 4")


@pytest.mark.parametrize(
    ("pattern", "want"),
    [
        ("a{08..11}.tar", ["a08.tar", "a09.tar", "a10.tar", "a11.tar"]),
        ("{a,b}{0..1}", ["a0", "a1", "b0", "b1"]),
        ("{split}/a", ["{split}/a"]),
        ("{3..1}", []),
    ],
)
def test_braces(pattern, want):
    assert expand(pattern) == want
