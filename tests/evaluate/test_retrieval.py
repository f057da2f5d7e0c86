"""Recall: closed forms, several captions of an image, and models that have learned nothing."""

import numpy as np
import pytest
from data.pictures import encoded, picture, write_jsonl
from evaluate.meshes import mesh, unit

from vlx.evaluate import build_evaluators
from vlx.evaluate.retrieval import recall

from tiny_run import config, fresh_params, ready


def paired(images, texts, devices: int = 1):
    return recall(images, texts, np.arange(len(texts)), mesh(devices))


def test_perfect_pairs_have_full_recall():
    result = paired(np.eye(13, dtype=np.float32), np.eye(13, dtype=np.float32))
    assert {value for name, value in result.items() if name.endswith(("r1", "r5"))} == {1.0}
    assert result["image_to_text_median"] == result["text_to_image_mean"] == 1.0
    assert result["chance"] == 1 / 13


def test_recall_counts_the_rows_within_a_rank():
    """Text i is the (i + 1)-th nearest of image i; each text's nearest image is the first."""
    texts = np.eye(12)
    images = np.stack([np.where(np.arange(12) < i, 2.0, 0.0) for i in range(12)]) + np.eye(12)
    result = paired(images, texts)
    assert result["image_to_text_r1"] == pytest.approx(1 / 12)
    assert result["image_to_text_r5"] == pytest.approx(5 / 12)
    assert result["image_to_text_r10"] == pytest.approx(10 / 12)
    assert result["image_to_text_median"] == 6.0
    assert result["image_to_text_mean"] == pytest.approx(6.5)


def test_directions_of_recall_swap_with_the_arguments():
    images, texts = unit(17, 5), unit(17, 5, seed=1)
    one, other = paired(images, texts), paired(texts, images)
    for name in ("r1", "r5", "r10", "median", "mean"):
        assert one[f"image_to_text_{name}"] == other[f"text_to_image_{name}"]


def test_any_of_an_images_texts_is_a_hit_and_every_text_is_a_query():
    """Image 0 has three texts, of which the last is nearest; image 1 has one, and lies badly."""
    images = np.array([[1, 0], [0, 1]], np.float32)
    texts = np.array([[0, 1], [0.6, 0.8], [1, 0], [0.8, 0.6]], np.float32)
    result = recall(images, texts, np.array([0, 0, 0, 1]), mesh())
    assert result["image_to_text_r1"] == 0.5
    assert result["image_to_text_mean"] == 2.0  # ranks 1 and 3
    assert result["text_to_image_r1"] == 0.25  # the third text alone finds its image


@pytest.mark.parametrize("devices", [3, 8])
def test_devices_change_nothing(devices):
    images, owner = unit(53, 11), np.random.default_rng(0).integers(0, 53, 211)
    texts = images[owner] + 0.8 * unit(211, 11, seed=1)
    assert recall(images, texts, owner, mesh(devices)) == recall(images, texts, owner, mesh())


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_a_collapsed_model_is_no_better_than_guessing(value):
    same = np.full((20, 3), value, np.float32)
    result = paired(same, same, devices=8)
    assert result["image_to_text_r1"] <= 1 / 20
    assert result["text_to_image_r10"] <= 10 / 20


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    """A list of 11 pictures with one to four captions each, and three to train on."""
    folder = tmp_path_factory.mktemp("captions")
    rows = []
    for n in range(14):
        (folder / f"{n}.png").write_bytes(encoded(picture(n, 19, 17)))
        texts = [f"caption {k} of picture {n}" for k in range(1 + n % 4)]
        rows.append({"image": f"{n}.png", "captions": texts, "split": "val" if n > 2 else "train"})
    write_jsonl(folder / "captions.jsonl", rows)
    return folder


@pytest.fixture(scope="module")
def measure(captions, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")

    def measure(devices: int = 1, data=None, **evaluate):
        data = {"source": "jsonl", "path": str(captions)} | (data or {})
        evaluate = {"names": ("retrieval",), "batch_size": 8} | evaluate
        setup = ready(workdir, config(captions, data=data, evaluate=evaluate), devices)
        return build_evaluators(setup)["retrieval"](fresh_params(setup))

    return measure


def test_all_captions_of_every_image_are_compared(measure):
    """With 27 captions of 11 images, shares of texts are multiples of 1/27."""
    result = measure()
    assert result["chance"] == 1 / 11
    hits = result["text_to_image_r5"] * 27
    assert hits == pytest.approx(round(hits))
    assert measure(devices=8, batch_size=16) == pytest.approx(result)


def test_captions_and_examples_may_be_limited(measure):
    result = measure(captions=1, examples=7)
    assert result["chance"] == 1 / 7
    hits = result["text_to_image_r5"] * 7
    assert hits == pytest.approx(round(hits))


def test_captions_are_read_in_the_first_template(measure):
    plain = measure(captions=3)
    assert measure(captions=3, data={"caption_templates": ("{}", "a photo: {}")}) == plain
