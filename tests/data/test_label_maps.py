"""Label maps: read as their authors publish them, and always seen as their picture is."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from data.pictures import encoded, picture
from PIL import Image

from vlx.data import DataConfig, TokenizerConfig, build_source, build_transforms
from vlx.data.augment import evaluation_resize
from vlx.data.label_maps import (
    NO_CLASS,
    LabelMapConfig,
    distort,
    evaluation_map,
    nearest,
    scaled_size,
    signed,
    training_pair,
)
from vlx.errors import UserError

FOLDER = Path(__file__).parents[1] / "data_files" / "annotations" / "coco_panoptic"
PLAIN = LabelMapConfig(scale=(0.4, 2.5), most=1.0, distort=False)


def source(path, split, name, **config):
    return build_source(DataConfig(source=name, path=str(path), **config), split)


def painted(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A picture of three grey values in vertical stripes, and the stripes' numbers."""
    columns = np.arange(width) * 3 // width
    labels = np.broadcast_to(columns.astype(np.uint8), (height, width)).copy()
    labels[:, : width // 7] = NO_CLASS
    return np.repeat((60 + 60 * labels.astype(int)).clip(0, 240)[..., None], 3, 2), labels


@pytest.fixture
def coco(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "coco" / "annotations")
    for entry in json.loads((FOLDER / "panoptic_val2017.json").read_text())["images"]:
        path = tmp_path / "coco" / "val2017" / entry["file_name"]
        path.parent.mkdir(exist_ok=True)
        pixels = picture(entry["id"] % 256, entry["height"], entry["width"])
        path.write_bytes(encoded(pixels, "JPEG"))
    return tmp_path / "coco"


@pytest.fixture
def ade(tmp_path):
    folder = tmp_path / "ade"
    for number, split in enumerate(("training", "training", "validation")):
        for kind in ("images", "annotations"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        name = f"ADE_{number:04}"
        (folder / "images" / split / f"{name}.jpg").write_bytes(encoded(picture(number), "JPEG"))
        labels = np.arange(11 * 13, dtype=np.uint8).reshape(11, 13)
        (folder / "annotations" / split / f"{name}.png").write_bytes(encoded(labels))
    rows = ["Idx\tRatio\tTrain\tVal\tName\n", "1\t0.15\t11664\t1172\twall\n"]
    (folder / "objectInfo150.txt").write_text("".join(rows))
    return folder


def test_segments_of_coco_are_pixels_of_their_category(coco):
    maps = source(coco, "val", "coco_panoptic")
    content = json.loads((FOLDER / "panoptic_val2017.json").read_text())
    names = [category["name"] for category in content["categories"]]
    assert (len(maps), list(maps.class_names)) == (2, names)
    numbers = [category["id"] for category in content["categories"]]
    for record, entry in zip(maps, content["annotations"], strict=False):
        area = dict.fromkeys(range(len(names)), 0)
        for segment in entry["segments_info"]:
            area[numbers.index(segment["category_id"])] += segment["area"]
        found = {n: int(np.sum(record["label_map"] == n)) for n in area}
        assert found == area
        assert record["image_id"] == entry["image_id"]
        assert np.any(record["label_map"] == NO_CLASS)


def test_labels_of_ade20k_are_reduced_by_one(ade):
    maps = source(ade, "training", "ade20k")
    assert len(maps) == 2
    np.testing.assert_array_equal(maps[0]["label_map"].ravel()[:3], [NO_CLASS, 0, 1])
    assert maps.class_names == ("wall",)
    assert len(source(ade, "validation", "ade20k")) == 1


def test_the_built_in_world_has_maps_of_its_shapes():
    shapes = build_source(DataConfig(about="label_maps"), "val", 64)
    record = shapes[0]
    assert shapes.class_names[0] == "background"
    assert record["label_map"].shape == record["image"].shape[:2]
    assert record["label_map"].max() < len(shapes.class_names)


def change(path: Path, edit) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["annotations"][0]["segments_info"].pop(), r"has a segment \d+ that the ann"),
        (lambda c: c["categories"].pop(2), r"has a segment of an unknown category \d+"),
        (lambda c: c["images"].pop(0), r"image 349 is not among the images"),
        (lambda c: c["annotations"].clear(), r"has no rows of the split 'val'"),
        (lambda c: c.update(categories=c["categories"] * 30), r"a map holds 255 at most"),
    ],
)
def test_annotations_of_coco_that_do_not_fit_are_refused(coco, edit, message):
    change(coco / "annotations" / "panoptic_val2017.json", edit)
    with pytest.raises(UserError, match=message):
        source(coco, "val", "coco_panoptic")[0]


def test_maps_that_are_missing_or_broken_are_named(coco, ade):
    path = coco / "annotations" / "panoptic_val2017" / "000000000349.png"
    path.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"349\.png is no readable PNG"):
        source(coco, "val", "coco_panoptic")[0]
    Image.new("L", (341, 256)).save(path)
    with pytest.raises(UserError, match=r"349\.png must have the colours of segments"):
        source(coco, "val", "coco_panoptic")[0]
    shutil.rmtree(path.parent)
    with pytest.raises(UserError, match=r"There is no folder .*panoptic_val2017"):
        source(coco, "val", "coco_panoptic")
    Image.new("RGB", (13, 11)).save(ade / "annotations" / "validation" / "ADE_0002.png")
    with pytest.raises(UserError, match=r"must be a picture of 8 bits .* not of the mode RGB"):
        source(ade, "validation", "ade20k")[0]
    with pytest.raises(UserError, match=r"no folder '.*images/train'; .* data.train_split"):
        source(ade, "train", "ade20k")
    with pytest.raises(UserError, match=r"data.class_names='none' cannot be read"):
        source(ade, "training", "ade20k", class_names="none")


def test_a_record_without_captions_says_so(ade):
    with pytest.raises(UserError, match=r"the record has no text"):
        source(ade, "training", "ade20k").captions(0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [32, (24, 40)])
def test_training_shows_classes_where_the_picture_has_them(size, seed):
    pixels, labels = painted(37, 61)
    rng = np.random.default_rng(seed)
    image, seen = training_pair(pixels.astype(np.uint8), labels, size, PLAIN, True, "bilinear", rng)
    assert image.shape[:2] == seen.shape == (size if isinstance(size, tuple) else (size, size))
    assert (image.dtype, seen.dtype) == (np.uint8, np.int32)
    for number in range(3):
        if np.sum(np.any(seen == number, axis=0)) > 4:  # columns; a border's are blurred
            inside = image[seen == number][:, 0]
            assert abs(np.median(inside) - (60 + 60 * number)) < 2
    outside = np.all(image == (124, 116, 104), axis=-1)
    assert np.all(seen[outside] == -1)


def test_what_a_small_picture_does_not_fill_has_no_class():
    pixels, labels = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    half = LabelMapConfig(scale=(0.5, 0.5), most=1.0, distort=False)
    rng = np.random.default_rng(0)
    image, seen = training_pair(pixels, labels, 16, half, False, "bilinear", rng)
    assert np.all(seen[:8, :8] == 0)
    assert np.sum(seen == 0) == 64
    np.testing.assert_array_equal(image[-1, -1], (124, 116, 104))


def test_crops_are_drawn_until_no_class_fills_them():
    """A tenth of the picture is of another class; most crops without the rule show one alone."""
    labels = np.zeros((40, 400), np.uint8)
    labels[:, :40] = 1
    pixels = np.zeros((40, 400, 3), np.uint8)

    def mixed(most):
        config = LabelMapConfig(scale=(1.0, 1.0), longest=10.0, most=most, distort=False)
        crops = [
            training_pair(
                pixels, labels, 40, config, False, "bilinear", np.random.default_rng(seed)
            )[1]
            for seed in range(60)
        ]
        return np.mean([len(np.unique(crop)) == 2 for crop in crops])

    assert mixed(1.0) < 0.3
    assert mixed(0.9) > 0.45


def test_mirroring_is_drawn_only_where_it_is_asked_for():
    pixels, labels = painted(16, 16)
    same = LabelMapConfig(scale=(1.0, 1.0), most=1.0, distort=False)

    def first_columns(mirror):
        seen = (
            training_pair(
                pixels.astype(np.uint8), labels, 16, same, mirror, "bilinear",
                np.random.default_rng(seed),
            )[1]
            for seed in range(20)
        )  # fmt: skip
        return {int(x[0, 0]) for x in seen}

    assert first_columns(False) == {-1}
    assert first_columns(True) == {-1, 2}


def test_colours_change_within_their_limits_and_grey_stays_grey():
    grey = np.full((4, 4, 3), 100, np.uint8)
    changed = [distort(grey, np.random.default_rng(seed)) for seed in range(80)]
    assert all(np.ptp(x) == 0 for x in changed)  # neither hue nor saturation shows
    values = np.array([x[0, 0, 0] for x in changed], int)
    assert values.min() >= 34 - 1
    assert values.max() <= 198
    assert len(np.unique(values)) > 20
    red = np.full((4, 4, 3), (200, 40, 40), np.uint8)
    hues = [distort(red, np.random.default_rng(seed)).astype(int)[0, 0] for seed in range(80)]
    assert any(g - b > 20 for _, g, b in hues)
    assert any(b - g > 20 for _, g, b in hues)


def test_sizes_keep_the_form_and_the_limit_of_the_longer_side():
    assert scaled_size((30, 60), 512) == (512, 1024)
    assert scaled_size((100, 1000), 512, 4) == (205, 2048)
    np.testing.assert_array_equal(nearest(np.array([[1, 2]]), (2, 4)), [[1, 1, 2, 2]] * 2)


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("size", [16, (16, 24)])
def test_evaluation_shows_classes_where_the_picture_has_them(mode, size):
    pixels, labels = painted(29, 47)
    image = evaluation_resize(pixels.astype(np.uint8), size, mode, "bilinear")
    seen = evaluation_map(labels, size, mode, 1.0)
    assert seen.shape == image.shape[:2]
    for number in range(3):
        assert abs(np.median(image[seen == number]) - (60 + 60 * number)) < 3


def test_examples_have_the_map_and_evaluation_does_without_one(ade):
    maps = source(ade, "training", "ade20k")
    c = DataConfig(source="ade20k", path=str(ade))
    fields = ("image", "label_map", "weight")
    train, evaluate = build_transforms(c, TokenizerConfig(), None, 8, fields)
    example = train(maps[0], np.random.default_rng(0))
    assert {name: (x.dtype, x.shape) for name, x in example.items()} == {
        "image": (np.uint8, (8, 8, 3)),
        "label_map": (np.int32, (8, 8)),
        "weight": (np.float32, ()),
    }
    record = {k: v for k, v in maps[0].items() if k != "label_map"}
    assert set(evaluate(maps[0])) == set(fields)
    assert set(evaluate(record)) == {"image", "weight"}
    with pytest.raises(UserError, match=r"has no label map, .* data.source='ade20k'"):
        train(record, np.random.default_rng(0))
    with pytest.raises(UserError, match=r"the label map has 5 x 5 pixels, its picture 13 x 11"):
        train(maps[0] | {"label_map": np.zeros((5, 5), np.uint8)}, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": (2.0, 0.5)}, r"data.label_map.scale=\(2.0, 0.5\) must be two positive"),
        ({"most": 0.0}, r"data.label_map.most=0.0 must be above 0"),
        ({"longest": 0.5}, r"data.label_map.longest=0.5 must be 1 or more"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        LabelMapConfig(**settings)


def test_no_class_becomes_negative():
    np.testing.assert_array_equal(signed(np.array([0, 254, 255], np.uint8)), [0, 254, -1])
