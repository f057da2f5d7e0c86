"""Questions, captions and text in the files of their authors, and what is wrong with them."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
from data.pictures import encoded, picture

from vlx.data import DataConfig, build_source
from vlx.errors import UserError

FOLDER = Path(__file__).parents[1] / "data_files" / "annotations"


def source(path, split="train", **config):
    return build_source(DataConfig(path=str(path), **config), split)


def refused(message: str, *arguments, **config):
    with pytest.raises(UserError, match=message):
        source(*arguments, **config)


def put(path: Path, number: int = 0) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture(number)))
    return path.read_bytes()


def edit(path: Path, change) -> None:
    """The JSON file after `change` did something to its content."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def vqa(tmp_path):
    return Path(shutil.copytree(FOLDER / "vqa_v2", tmp_path / "vqa"))


QUESTIONS = "v2_OpenEnded_mscoco_{}_questions.json"
ANNOTATIONS = "v2_mscoco_{}_annotations.json"


def test_questions_have_their_answers(vqa):
    found = source(vqa, "val", source="vqa_v2")
    assert len(found) == 5
    record = found.annotation(1)
    assert record == {
        "id": f"{vqa}/v2_OpenEnded_mscoco_val2014_questions.json question 18748007",
        "captions": ("How many kites in the shot?",),
        "question_id": 18748007,
        "picture": "18748",
        "answers": record["answers"],
        "answer": "1",
        "answer_type": "number",
    }
    assert len(record["answers"]) == 10
    assert found.captions(1) == record["captions"]
    assert pickle.loads(pickle.dumps(found)).annotation(1) == record


@pytest.mark.parametrize(
    "name",
    [
        "val2014/COCO_val2014_000000018748.jpg",
        "COCO_val2014_000000018748.jpg",
        "000000018748.jpg",
        "train2017/000000018748.jpg",
    ],
)
def test_photos_are_found_by_the_names_of_2014_and_of_2017(vqa, name):
    content = put(vqa / "images" / name)
    found = source(vqa, "val", source="vqa_v2")
    assert found[1] == {"image": content, **found.annotation(1)}
    elsewhere = source(vqa, "val", source="vqa_v2", image_folder=str(vqa / "images"))
    assert elsewhere[1]["image"] == content
    with pytest.raises(
        UserError, match=r"question 18748007: there is no image 'val2014/COCO_.* or"
    ):
        source(FOLDER / "vqa_v2", "val", source="vqa_v2")[1]


def test_splits_of_questions_are_joined(vqa):
    def size(split):
        return len(source(vqa, split, source="vqa_v2"))

    assert (size("train"), size("val"), size("train+val"), size("")) == (4, 5, 9, 9)
    assert size("minival") == 5  # all: val has fewer than 1000 images
    assert size("train+restval") == 4
    refused("has no rows of the split 'restval'", vqa, "restval", source="vqa_v2")
    refused(r"split of vqa_v2='vall' is unknown; did you mean 'val'", vqa, "vall", source="vqa_v2")


def test_minival_is_the_last_thousand_images_of_val(tmp_path):
    """Each image has two questions, the highest numbers first."""
    asked = [
        {"image_id": n, "question_id": 10 * n + k, "question": "what is it?"}
        for n in range(1003, 0, -1)
        for k in range(2)
    ]
    answered = [
        {**q, "answers": [{"answer": "a"}] * 10, "multiple_choice_answer": "a"} for q in asked
    ]
    (tmp_path / QUESTIONS.format("val2014")).write_text(json.dumps({"questions": asked}))
    (tmp_path / ANNOTATIONS.format("val2014")).write_text(json.dumps({"annotations": answered}))
    rest = source(tmp_path, "restval", source="vqa_v2")
    assert [rest.annotation(n)["picture"] for n in range(6)] == ["3", "3", "2", "2", "1", "1"]
    assert len(rest) == 6
    assert len(source(tmp_path, "minival", source="vqa_v2")) == 2000


def test_questions_of_tests_have_no_answers(vqa):
    for split in ("test", "test-dev"):
        asked = json.loads((vqa / QUESTIONS.format("train2014")).read_text())["questions"]
        asked = asked[: 1 + (split == "test")]
        name = QUESTIONS.format(f"{split}2015")
        (vqa / name).write_text(json.dumps({"questions": asked}))
        content = put(vqa / f"test2015/COCO_test2015_{asked[0]['image_id']:012}.jpg")
        found = source(vqa, split, source="vqa_v2")
        assert len(found) == 1 + (split == "test")
        assert found[0]["image"] == content
        assert "answers" not in found[0]


def test_mistakes_in_questions(vqa):
    refused("data.path is empty; the source 'vqa_v2' needs v2_Open.*train2014", "", source="vqa_v2")
    refused("data.path='/none' does not exist; it must hold v2_", "/none", source="vqa_v2")
    refused(r"holds no file such as v2_OpenEnded_mscoco_test2015_questions.json; it has: v2_Open",
            vqa, "test", source="vqa_v2")  # fmt: skip
    questions, annotations = (vqa / x.format("train2014") for x in (QUESTIONS, ANNOTATIONS))
    shutil.copy(questions, vqa / QUESTIONS.format("train"))
    refused("holds several files that could be v2_OpenEnded", vqa, source="vqa_v2")
    (vqa / QUESTIONS.format("train")).unlink()

    edit(annotations, lambda x: x["annotations"].pop(2))
    refused(r"train2014_questions.json question \d+ has no annotation", vqa, source="vqa_v2")
    assert len(source(vqa, source="vqa_v2", on_error="skip")) == 3
    edit(questions, lambda x: x["questions"][0].update(question=" "))
    refused("question [0-9]+: 'question' holds an empty text", vqa, source="vqa_v2")
    edit(questions, lambda x: x["questions"][0].update(image_id="12"))
    refused("question [0-9]+ needs 'image_id', a number", vqa, source="vqa_v2")
    edit(questions, lambda x: x.pop("questions"))
    refused("questions.json needs 'questions', a list", vqa, source="vqa_v2")
    questions.write_text("[]")
    refused("questions.json must hold an object, not list", vqa, source="vqa_v2")
    questions.write_text("{")
    refused("questions.json is no readable JSON", vqa, source="vqa_v2")
    annotations.unlink()
    refused("no file such as v2_mscoco_train2014_annotations.json", vqa, source="vqa_v2")


@pytest.fixture
def coco(tmp_path):
    return Path(shutil.copytree(FOLDER / "coco", tmp_path / "coco"))


def test_karpathys_splits(coco):
    content = put(coco / "images" / "000000000139.jpg")
    found = source(coco, source="karpathy")
    assert found[0] == {
        "image": content,
        "id": f"{coco}/dataset_coco.json image 000000000139.jpg",
        "captions": ("A woman stands in the dining area at the table.",
                     "A room with chairs, a table, and a woman in it."),
        "picture": "images/000000000139.jpg",
        "image_id": 139,
    }  # fmt: skip
    assert [len(source(coco, split, source="karpathy")) for split in ("train", "val")] == [2, 1]
    assert len(source(coco, "train+val", source="karpathy")) == 3
    assert len(source(coco / "dataset_coco.json", "", source="karpathy")) == 3
    refused("has no split 'restval'; it has: train, val", coco, "train+restval", source="karpathy")
    edit(coco / "dataset_coco.json", lambda x: x["images"][0].update(sentences=[]))
    refused("image 000000000139.jpg has no captions", coco, source="karpathy")
    assert len(source(coco, source="karpathy", on_error="skip")) == 1


def test_captions_of_coco(coco):
    content = put(coco / "train2017" / "000000000285.jpg")
    found = source(coco, source="coco_captions")
    assert len(found) == 2
    assert found[1]["image"] == content
    assert len(found[1]["captions"]) == 5
    (coco / "annotations").mkdir()
    shutil.move(coco / "captions_train2017.json", coco / "annotations")
    for path in (coco, coco / "annotations" / "captions_train2017.json"):
        assert source(path, source="coco_captions")[1]["image"] == content
    refused("holds no file such as captions_val2017.json", coco, "val", source="coco_captions")
    file = coco / "annotations" / "captions_train2017.json"
    edit(file, lambda x: x["annotations"].append({"image_id": 139}))
    refused("image 139 needs 'caption', a text", coco, source="coco_captions")


def test_pictures_have_the_numbers_of_their_benchmark(coco):
    assert source(coco, source="karpathy").annotation(1)["image_id"] == 285
    edit(coco / "dataset_coco.json", lambda x: x["images"][1].pop("cocoid"))
    assert "image_id" not in source(coco, source="karpathy").annotation(1)
    assert source(coco, source="coco_captions").annotation(1)["image_id"] == 285


def test_captions_of_nocaps(tmp_path):
    """The authors' form: ten captions an image, of which two are enough here."""
    file = tmp_path / "nocaps_val_4500_captions.json"
    images = [
        {"id": n, "file_name": f"{name}.jpg", "open_images_id": name, "domain": "in-domain"}
        for n, name in enumerate(("0013ea2087020901", "00ab"))
    ]
    said = [
        {"image_id": n, "id": 2 * n + k, "caption": f"a {n}{k}"} for k in (0, 1) for n in (1, 0)
    ]
    file.write_text(json.dumps({"images": images, "annotations": said}))
    content = put(tmp_path / "val" / "0013ea2087020901.jpg")
    found = source(tmp_path, "val", source="nocaps")
    assert found[0] == {
        "image": content,
        "id": f"{file} image 0",
        "captions": ("a 00", "a 01"),
        "picture": "val/0013ea2087020901.jpg",
        "image_id": 0,
    }
    assert found.captions(1) == ("a 10", "a 11")
    (tmp_path / "val" / "0013ea2087020901.jpg").rename(tmp_path / "0013ea2087020901.jpg")
    assert found[0]["image"] == content
    refused("holds no file such as nocaps_test_4500_captions.json; it has: .*nocaps_val", tmp_path,
            "test", source="nocaps")  # fmt: skip
    edit(file, lambda x: x.update(annotations=[]))
    refused("has no rows of the split 'val'", tmp_path, "val", source="nocaps")


@pytest.mark.parametrize("name", ["results_20130124.token", "results.csv"])
def test_captions_of_flickr30k(tmp_path, name):
    said = [("10.jpg", "a dog ."), ("10.jpg", 'it says " no "'), ("7.jpg", "a cat | a hat")]
    if name.endswith("token"):
        rows = [f"{image}#{n}\t{caption}" for n, (image, caption) in enumerate(said)]
    else:
        said[2] = "7.jpg", "a cat"
        rows = ["image_name| comment_number| comment"]
        rows += [f"{image}| {n}| {caption}" for n, (image, caption) in enumerate(said)]
    (tmp_path / name).write_text("\n".join(rows) + "\n")
    content = put(tmp_path / "flickr30k-images" / "10.jpg")
    found = source(tmp_path, source="flickr30k")
    assert [found.captions(n) for n in range(2)] == [
        (said[0][1], said[1][1]),
        (said[2][1],),
    ]
    assert found[0]["image"] == content
    refused("does not say which images are 'val'; put val.txt beside it", tmp_path, "val",
            source="flickr30k")  # fmt: skip
    (tmp_path / "val.txt").write_text("7\n")
    held = source(tmp_path, "val", source="flickr30k")
    assert [held.captions(n) for n in range(len(held))] == [(said[2][1],)]
    (tmp_path / "val.txt").write_text("8\n")
    refused("has no rows of the split 'val'", tmp_path, "val", source="flickr30k")
    (tmp_path / name).write_text("\n".join([*rows, "8.jpg"]) + "\n")
    refused(f"{name} line {len(rows) + 1} must be an image and a caption, not '8.jpg'", tmp_path,
            source="flickr30k")  # fmt: skip


def test_descriptions_of_visual_genome(tmp_path):
    """Each text once; short ones, and images that have no others, may be left out."""
    phrases = ["the clock is green", "a cup", "the clock is green ", "red"], ["a cup"]
    rows = [
        {"id": n, "regions": [{"region_id": 1, "phrase": phrase} for phrase in said]}
        for n, said in enumerate(phrases, start=1)
    ]
    (tmp_path / "region_descriptions.json").write_text(json.dumps(rows))
    content = put(tmp_path / "VG_100K_2" / "1.jpg")
    found = source(tmp_path, source="visual_genome")
    assert found.captions(0) == ("the clock is green", "a cup", "red")
    assert found[0]["image"] == content
    assert len(found) == 2
    long = source(tmp_path, source="visual_genome", least_words=3)
    assert [long.captions(n) for n in range(len(long))] == [("the clock is green",)]
    refused("has no rows of the split", tmp_path, source="visual_genome", least_words=9)
    refused("does not say which rows are 'val'", tmp_path, "val", source="visual_genome")
    refused("data.least_words=0 must be 1 or more", tmp_path, source="visual_genome", least_words=0)


def test_lines_of_text(tmp_path):
    (tmp_path / "train_0.txt").write_text("one line\n\n  two lines \n")
    (tmp_path / "train_1.txt").write_bytes("drei Zäune\n".encode() + b"\xff\n")
    found = source(tmp_path, source="text", file="train_*.txt")
    assert [found.captions(n) for n in range(3)] == [("one line",), ("two lines",), ("drei Zäune",)]
    assert found[1] == {"captions": ("two lines",), "id": f"{tmp_path}/train_0.txt line 3"}
    with pytest.raises(UserError, match=r"train_1.txt line 2 is not UTF-8"):
        found[3]
    assert len(source(tmp_path, source="text")) == 4  # shards
    refused("does not say which rows are 'val'", tmp_path, "val", source="text")
    (tmp_path / "val.txt").write_text("\n \n")
    refused("val.txt has no rows", tmp_path, "val", source="text")
