"""Segmentation: windows as published, closed forms of the measures, one value on any devices."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data.pictures import encoded
from small_segmenter import batch, config, logits, parameters

from vlx.config import build, to_dict
from vlx.data.batch import stack
from vlx.errors import UserError
from vlx.evaluate import build_evaluators
from vlx.evaluate.segmentation import areas, by_class, summary
from vlx.evaluate.windows import Windows, join_weights, starts
from vlx.layers.pixels import normalise
from vlx.layers.resample import bilinear
from vlx.train.config import RunConfig
from vlx.train.setup import Setup, resolved


@pytest.mark.parametrize("seen", [512, 513, 683, 853, 854, 1024, 2048])
def test_windows_are_placed_as_published(seen):
    """Windows of 512 every 341 pixels, the last one shifted back to fit."""
    count = max(seen - 512 + 340, 0) // 341 + 1
    want = [min(341 * n, seen - 512) for n in range(count)]
    assert starts(seen, 512) == want
    assert want[-1] + 512 == seen or count == 1


def test_the_shorter_side_is_covered_and_the_form_kept():
    windows = Windows.of((300, 400), (512, 512), whole=False)
    assert (windows.seen, windows.grid) == ((512, 683), (1, 2))
    assert Windows.of((300, 400), (512, 512), whole=True).seen == (512, 512)
    assert Windows.of((90, 20), (32, 48), whole=False).seen == (216, 48)


def slowly(windows: Windows, logits: np.ndarray) -> np.ndarray:
    """The published procedure step by step: stretch, add up, divide by visits, stretch again."""
    height, width = windows.seen
    total, visits = np.zeros((height, width, logits.shape[-1])), np.zeros((height, width, 1))
    corners = [(y, x) for y in starts(height, windows.side[0]) for x in
               starts(width, windows.side[1])]  # fmt: skip
    for each, (y, x) in zip(logits, corners, strict=True):
        part = np.s_[y : y + windows.side[0], x : x + windows.side[1]]
        total[part] += bilinear(jnp.asarray(each[None]), windows.side)[0]
        visits[part] += 1
    return np.asarray(bilinear(jnp.asarray(total / visits, jnp.float32)[None], windows.picture)[0])


@pytest.mark.parametrize("picture", [(20, 31), (40, 17), (16, 16)])
def test_joined_maps_are_those_of_the_published_procedure(picture):
    windows = Windows.of(picture, (16, 16), whole=False)
    count = windows.grid[0] * windows.grid[1]
    logits = np.random.default_rng(0).normal(size=(count, 4, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(
        windows.classes(logits), np.argmax(slowly(windows, logits), axis=-1)
    )
    down, along = windows.weights((4, 4))
    maps = logits.reshape(*windows.grid, 4, 4, 3).swapaxes(1, 2)
    maps = maps.reshape(4 * windows.grid[0], 4 * windows.grid[1], 3)
    got = np.einsum("Hy,Wx,yxK->HWK", down, along, maps)
    np.testing.assert_allclose(got, slowly(windows, logits), atol=1e-5)


def test_weights_of_a_side_sum_to_one():
    np.testing.assert_allclose(join_weights(23, 40, 16, 4).sum(axis=1), 1, rtol=1e-5)


def test_windows_are_cut_row_after_row():
    pixels = np.arange(24 * 40, dtype=np.uint8).reshape(24, 40, 1).repeat(3, axis=2)
    windows = Windows((24, 40), (24, 40), (16, 16))
    cut = windows.cut(pixels, "bilinear")
    corners = [(y, x) for y in (0, 8) for x in (0, 10, 20, 24)]
    assert windows.grid == (2, 4)
    for each, (y, x) in zip(cut, corners, strict=True):
        np.testing.assert_array_equal(each, pixels[y : y + 16, x : x + 16])


def test_pixels_without_a_class_do_not_count():
    said, true = np.array([[0, 0, 1, 2]]), np.array([[0, 1, 1, -1]])
    got = areas(said, true, 3)
    np.testing.assert_array_equal(got, [[1, 1, 0], [2, 1, 0], [1, 2, 0]])


def test_classes_that_are_nowhere_are_left_out_of_the_means():
    each = np.array([[[1, 1, 0], [2, 1, 0], [1, 2, 0]]])
    iou, recall = by_class(each[0])
    np.testing.assert_array_equal(iou, [0.5, 0.5, np.nan])
    np.testing.assert_array_equal(recall, [1, 0.5, np.nan])
    got = summary(each)
    assert got == {"mean_iou": 0.5, "mean_accuracy": 0.75, "pixel_accuracy": pytest.approx(2 / 3)}
    assert got.intervals["mean_iou"] == (0.5, 0.5)


def test_a_class_that_is_only_said_counts_against_the_union():
    """Two pixels of class 0 of which one is said to be of class 1."""
    got = summary(np.array([[[1, 0], [1, 1], [2, 0]]]))
    assert got["mean_iou"] == 0.25
    assert got["mean_accuracy"] == 0.5


def test_values_of_several_pictures_are_those_of_all_their_pixels():
    rng = np.random.default_rng(0)
    said, true = rng.integers(0, 3, (2, 4, 6)), rng.integers(-1, 3, (2, 4, 6))
    each = np.stack([areas(*pair, 3) for pair in zip(said, true, strict=True)])
    whole = areas(said.reshape(8, 6), true.reshape(8, 6), 3)[None]
    assert summary(each) == pytest.approx(summary(whole))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Five pictures of different sizes in ADE20K's folders."""
    folder, rng = tmp_path_factory.mktemp("maps"), np.random.default_rng(0)
    for kind in ("images", "annotations"):
        (folder / kind / "validation").mkdir(parents=True)
    for n, (height, width) in enumerate([(40, 75), (35, 90), (80, 40), (32, 48), (41, 43)]):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        labels = rng.integers(0, 6, (height, width)).astype(np.uint8)
        for kind, content in (("images", pixels), ("annotations", labels)):
            (folder / kind / "validation" / f"{n}.png").write_bytes(encoded(content))
    return folder


def balanced(config):
    """Parameters of a model that says every class somewhere."""
    params, image = parameters(config), normalise(jnp.asarray(batch(8)["image"]), config.pixels)
    usual = np.mean(logits(config, params, image), axis=(0, 1, 2))
    params["head"]["classify"]["classifier"]["bias"] -= usual
    return params


def measured(pictures, workdir, devices=1, classes=5, **changes):
    data = {"source": "ade20k", "path": str(pictures), "eval_split": "validation", "threads": 0}
    evaluate = {"batch_size": 8, "names": ("segmentation",)} | changes.pop("evaluate", {})
    given = {
        "task": "segmentation",
        "steps": 1,
        "model": to_dict(config(classes=classes)),
        "data": data | changes,
        "evaluate": evaluate,
    }
    setup = Setup(resolved(build(RunConfig, given)), workdir, devices=jax.devices()[:devices])
    run = build_evaluators(setup)["segmentation"]
    with jax.set_mesh(setup.mesh):  # as in training
        return run(balanced(setup.task.config))


@pytest.fixture(scope="module")
def want(pictures, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    return measured(pictures, workdir), workdir


def test_a_run_is_measured_alike_on_any_devices_and_in_any_batches(pictures, want, tmp_path):
    metrics, _ = want
    assert 0.05 < metrics["mean_iou"] < 0.3
    assert measured(pictures, tmp_path, devices=8) == pytest.approx(metrics, abs=2e-4)
    other = measured(pictures, tmp_path, evaluate={"batch_size": 3})
    assert other == pytest.approx(metrics, abs=2e-4)


def test_classes_are_kept_beside_the_run(want):
    rows = json.loads((want[1] / "evaluations" / "classes-validation.json").read_text())
    assert [row["class"] for row in rows] == list("01234")
    assert np.mean([row["iou"] for row in rows]) == pytest.approx(want[0]["mean_iou"])


def test_fewer_examples_are_the_first(pictures, tmp_path):
    """The first picture alone, in windows: as if nothing else were there."""
    one = measured(pictures, tmp_path, evaluate={"examples": 1})
    again = measured(pictures, tmp_path, evaluate={"examples": 1, "batch_size": 1})
    assert one == pytest.approx(again, abs=2e-4)
    assert one != pytest.approx(measured(pictures, tmp_path, resize_mode="squash",
                                         evaluate={"examples": 1}), abs=1e-6)  # fmt: skip


def test_maps_of_more_classes_than_the_model_has_are_refused(pictures, tmp_path):
    message = r"A label map has the class 4, the model 3 classes; set model.classes=5"
    with pytest.raises(UserError, match=message):
        measured(pictures, tmp_path, classes=3)


def test_data_of_more_classes_are_refused_before_training(tmp_path):
    given = {"task": "segmentation", "steps": 1, "data": {"about": "label_maps"}}
    given["model"] = {"preset": "tiny", "classes": 8}
    setup = Setup(resolved(build(RunConfig, given)), tmp_path)
    with pytest.raises(UserError, match=r"have 9 classes, the model 8; set model\.classes=9"):
        _ = setup.train_source


def test_a_resize_that_adds_borders_is_refused(pictures, tmp_path):
    with pytest.raises(UserError, match=r"has no data.resize_mode='longest'; set 'shortest'"):
        measured(pictures, tmp_path, resize_mode="longest")


def test_a_model_without_classes_of_pixels_is_refused(tmp_path):
    given = {"task": "beit", "steps": 1, "model": {"preset": "tiny"}, "loss": {"codes": 1.0}}
    given["evaluate"] = {"batch_size": 8, "names": ("segmentation",)}
    setup = Setup(resolved(build(RunConfig, given)), tmp_path)
    with pytest.raises(UserError, match=r"needs a model that tells the classes of pixels, which B"):
        build_evaluators(setup)["segmentation"]({})


def test_pictures_of_different_sizes_travel_together():
    boxed = [np.empty((), object) for _ in range(2)]
    boxed[0][()], boxed[1][()] = np.zeros((2, 3)), np.zeros((4, 5))
    batch = stack([{"picture": x} for x in boxed])
    assert [x.shape for x in batch["picture"]] == [(2, 3), (4, 5)]
