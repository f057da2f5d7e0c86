"""The shapes world: what is drawn, what is said to be drawn, and what a split may show."""

import colorsys
import pickle

import numpy as np
import pytest

from vlx.data.shapes import (
    CLASS_NAMES,
    FIELDS,
    HELD_OUT,
    SHAPES,
    SPLITS,
    ShapesPairSource,
    ShapesSource,
    sample_scene,
)
from vlx.data.shapes.maps import draw_instances
from vlx.data.shapes.render import find_patch
from vlx.errors import UserError

SIZE = 67
TEXTS = ("captions", "questions", "statements", "label")
HUES = {
    "red": 0,
    "orange": 27,
    "yellow": 54,
    "green": 125,
    "cyan": 183,
    "blue": 226,
    "purple": 277,
    "pink": 330,
}


def records(fields, count=23, **options):
    source = ShapesSource("val", SIZE, fields=fields, **options)
    return [(source.scene(i), source[i]) for i in range(count)]


def alone(o, size=SIZE):
    """The pixels of an object if nothing lay on it: bool [S, S]."""
    return draw_instances([find_patch(o, size)], size) == 1


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_equal(one[name], other[name])


def test_a_record_depends_on_its_index_alone():
    first, again = (ShapesSource("val", SIZE, fields=tuple(FIELDS)) for _ in range(2))
    forwards = [first[i] for i in range(7)]
    backwards = [again[i] for i in reversed(range(7))][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert_same(one, other)


def test_a_field_does_not_depend_on_the_others():
    everything = ShapesSource("train", SIZE, fields=tuple(FIELDS))[5]
    for name in FIELDS:
        only = ShapesSource("train", SIZE, fields=(name,))[5]
        assert set(only) == {name, "id"}
        np.testing.assert_equal(only[name], everything[name])


def test_a_scene_looks_alike_at_every_size():
    small = ShapesSource("val", 64, fields=("image", *TEXTS))
    large = ShapesSource("val", 192, fields=("image", *TEXTS))
    for i in range(5):
        one, other = small[i], large[i]
        assert all(one[name] == other[name] for name in TEXTS)
        shrunk = other["image"].reshape(64, 3, 64, 3, 3).mean((1, 3))
        assert np.abs(shrunk - one["image"]).mean() < 5


def test_the_scenes_of_version_1_stay_as_they_are():
    """If this fails on purpose, `scene.VERSION` must grow: old results were of other pictures."""
    assert [o[:4] for o in sample_scene("val", 0).objects] == [
        ("crescent", "cyan", "large", "plain"),
        ("square", "orange", "small", "plain"),
    ]
    expected = "an image with a small striped pink heart on the left on a dark spotlit background"
    assert ShapesSource("val").captions(3)[0] == expected


def test_splits_and_indices_give_different_pictures():
    pictures = {ShapesSource(split, 32)[i]["image"].tobytes() for split in SPLITS for i in range(5)}
    assert len(pictures) == 5 * len(SPLITS)


def test_captions_need_no_picture_and_are_the_same():
    source = ShapesSource("val", SIZE)
    assert source.captions(3) == source[3]["captions"]
    assert len(set(source.captions(3))) == 5


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_seen_splits_hold_no_held_out_object(split):
    for i in range(200):
        assert not {o.class_name for o in sample_scene(split, i).objects} & set(HELD_OUT)


def test_unseen_scenes_all_hold_a_held_out_object():
    for i in range(200):
        assert {o.class_name for o in sample_scene("unseen", i).objects} & set(HELD_OUT)
    alone = ShapesSource("unseen", SIZE, objects=(1, 1), fields=("label",))
    assert {CLASS_NAMES[alone[i]["label"]] for i in range(100)} == set(HELD_OUT)


def test_texts_of_seen_splits_never_name_a_held_out_pair():
    source = ShapesSource("train", SIZE, fields=("captions", "questions", "statements"))
    for i in range(60):
        record = source[i]
        texts = [*record["captions"], *(text for text, _ in record["questions"])]
        texts += [text for text, _ in record["statements"]]
        assert not [text for text in texts for name in HELD_OUT if name in text]


def test_labels_of_single_objects_are_exact_and_all_allowed_ones_occur():
    source = ShapesSource("val", SIZE, objects=(1, 1), fields=("label",))
    assert len(source.class_names) == 64
    labels = [source[i]["label"] for i in range(800)]
    for i, label in enumerate(labels[:30]):
        assert source.scene(i).objects[0].class_name == source.class_names[label]
    assert {source.class_names[label] for label in labels} == set(CLASS_NAMES) - set(HELD_OUT)
    assert max(np.bincount(labels)) < 4 * 800 / 56


def test_the_label_is_the_class_of_the_largest_visible_object():
    for scene, record in records(("instances", "label")):
        areas = np.bincount(record["instances"].ravel(), minlength=len(scene.objects) + 1)[1:]
        labelled = [
            areas[k]
            for k, o in enumerate(scene.objects)
            if o.class_name == CLASS_NAMES[record["label"]]
        ]
        assert max(labelled) > 0.85 * areas.max()  # the scene's areas are sampled, not counted


def test_numbers_of_objects_span_the_wanted_range():
    numbers = {len(sample_scene("train", i, (2, 4)).objects) for i in range(40)}
    assert numbers == {2, 3, 4}


def test_enough_of_every_object_is_visible():
    for scene, record in records(("instances",), count=60):
        for k, o in enumerate(scene.objects, start=1):
            assert (record["instances"] == k).sum() > 0.3 * alone(o).sum()


def test_objects_have_descriptions_of_their_own():
    for i in range(100):
        objects = sample_scene("train", i, (6, 6)).objects
        assert len({o[:4] for o in objects}) == 6


def test_a_plain_object_has_the_pixels_of_its_colour():
    checked = 0
    for scene, record in records(("image", "instances"), count=60):
        for k, o in enumerate(scene.objects, start=1):
            if o.texture == "plain":
                red, green, blue = np.median(record["image"][record["instances"] == k], 0) / 255
                hue = 360 * colorsys.rgb_to_hsv(red, green, blue)[0]
                apart = {name: abs((hue - h + 180) % 360 - 180) for name, h in HUES.items()}
                assert min(apart, key=apart.get) == o.colour
                checked += 1
    assert checked > 20


def test_boxes_are_the_extents_of_the_instances():
    for scene, record in records(("boxes", "classes", "instances")):
        assert record["boxes"].shape == (len(scene.objects), 4)
        for k, box in enumerate(record["boxes"]):
            rows, columns = np.nonzero(record["instances"] == k + 1)
            want = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            np.testing.assert_allclose(box * SIZE, want, rtol=1e-5)
            assert SHAPES[record["classes"][k]] == scene.objects[k].shape


def test_semantics_are_the_shapes_of_the_instances():
    for scene, record in records(("label_map", "instances"), count=7):
        want = [0, *(1 + SHAPES.index(o.shape) for o in scene.objects)]
        np.testing.assert_array_equal(record["label_map"], np.take(want, record["instances"]))


def test_edges_are_where_instances_change():
    for _, record in records(("edges", "instances"), count=7):
        seen = record["instances"].astype(int)
        want = np.zeros((SIZE, SIZE), bool)
        want[:, :-1] |= np.diff(seen, axis=1) != 0
        want[:-1] |= np.diff(seen, axis=0) != 0
        np.testing.assert_array_equal(record["edges"], want)


def test_a_nearer_object_hides_a_farther_one():
    overlaps = 0
    for scene, record in records(("depth", "instances")):
        seen, depth = record["instances"], record["depth"]
        whole = [np.ones((SIZE, SIZE), bool), *(alone(o) for o in scene.objects)]
        for k in range(len(whole)):
            for j in range(k):
                assert depth[seen == k].max() < depth[seen == j].min()
                overlaps += j > 0 and (whole[j] & (seen == k)).any()
                assert not (whole[k] & (seen == j)).any()
    assert overlaps > 5


def test_normals_are_unit_length_and_follow_the_depth():
    for _, record in records(("depth", "normals", "instances"), count=5):
        normals, depth, seen = record["normals"], record["depth"], record["instances"]
        np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, rtol=1e-5)
        assert normals[..., 2].min() > 0.8
        steps = np.stack(np.gradient(depth)[::-1], -1) * SIZE  # to the right, down
        same = np.ones_like(seen, bool)
        for axis in (0, 1):
            for by in (1, -1):
                same &= np.roll(seen, by, axis) == seen
        same[[0, -1]] = same[:, [0, -1]] = False
        slopes = normals[..., :2] / normals[..., 2:]
        np.testing.assert_allclose(slopes[same], steps[same], atol=2e-3)


def test_surfaces_of_objects_are_not_flat():
    for scene, record in records(("normals", "instances"), count=5, objects=(1, 1)):
        facing = record["normals"][record["instances"] == 1]
        assert facing[:, :2].std(0).min() > 0.03, scene.objects


@pytest.mark.parametrize("source", [ShapesSource("val", 32), ShapesPairSource("val", 32)])
def test_a_pickled_source_gives_the_same_records(source):
    assert_same(pickle.loads(pickle.dumps(source))[2], source[2])


def test_a_source_is_indexed_like_a_list():
    source = ShapesSource("val", 32, length=5)
    assert len(source) == len(list(source)) == 5
    assert source[-1]["id"] == source[np.int64(4)]["id"] == "shapes/val/4"
    for index in (5, -6):
        with pytest.raises(IndexError):
            source[index]


def test_pairs_hold_two_pictures_that_no_other_pair_holds():
    pairs = ShapesPairSource("val", 32)
    assert len(pairs) == SPLITS["val"] // 2
    ids = [pairs[i][side]["id"] for i in range(5) for side in ("left", "right")]
    assert len(set(ids)) == 10


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"split": "vall"}, "did you mean 'val'.*unseen"),
        ({"fields": ("image", "dept")}, "did you mean 'depth'.*normals"),
        ({"size": 8}, "32"),
        ({"objects": (0, 3)}, "1 to 6"),
        ({"objects": (4, 3)}, "1 to 6"),
        ({"split": "val", "length": 10_001}, "10000"),
    ],
)
def test_what_cannot_be_served_is_refused_with_what_can(options, named):
    with pytest.raises(UserError, match=named):
        ShapesSource(**options)
