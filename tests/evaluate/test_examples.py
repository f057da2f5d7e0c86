"""Kept examples: spread over the split, with small pictures as the model sees them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vlx.evaluate import build_evaluators
from vlx.evaluate.context import Context, Moment
from vlx.evaluate.examples import keep_examples, kept_steps, picture_file, spread
from vlx.evaluate.retrieval import nearest

from tiny_run import NAMES, config, fresh_params, ready, write_pictures


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [(3, 5, [0, 1, 2]), (5, 5, [0, 1, 2, 3, 4]), (11, 3, [0, 3, 7]), (0, 4, [])],
)
def test_numbers_are_spread(count, most, expected):
    assert spread(count, most) == expected


def test_the_nearest_come_first_and_equals_in_order():
    candidates = np.array([[0, 1], [1, 0], [0.6, 0.8], [1, 0]], np.float32)
    right = np.array([False, False, True, True])
    found = nearest(np.array([1, 0], np.float32), candidates, right)
    assert [(n, hit) for n, _, hit in found] == [(1, False), (3, True), (2, True), (0, False)]
    assert [value for _, value, _ in found] == pytest.approx([1, 1, 0.6, 0])


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The run folder after captions and retrieval, of fresh parameters."""
    folder = tmp_path_factory.mktemp("examples")
    names, prefix = ("captioning", "retrieval"), "picture of"  # a fresh model may write nothing
    settings = {"names": names, "caption_prefix": prefix, "batch_size": 8}
    pictures = write_pictures(folder / "pictures")
    setup = ready(folder / "run", config(pictures, evaluate=settings), 2)
    params = fresh_params(setup)
    for measure in build_evaluators(setup).values():
        measure(params, 7)
    return setup


def read(setup, kind: str):
    return json.loads((setup.workdir / "evaluations" / f"{kind}-val.json").read_text())


def test_examples_remember_the_step_that_they_are_of(measured):
    kinds = ("captions-val", "attention-val", "retrieval-val")
    assert kept_steps(measured.workdir) == dict.fromkeys(kinds, 7)


def test_examples_of_no_step_forget_that_of_older_ones(measured, tmp_path):
    context = Context(replace(measured, workdir=tmp_path), "val", None, "val", Moment(7))
    keep_examples(context, "a", [])
    keep_examples(context, "b", [])
    context.moment.step = None
    keep_examples(context, "a", [])
    assert kept_steps(tmp_path) == {"b-val": 7}


def test_queries_find_five_with_their_own_marked(measured):
    kept = read(measured, "retrieval")
    assert [query["index"] for query in kept["image_to_text"]] == spread(13, 5)
    for query in kept["image_to_text"]:
        number = 100 + query["index"]
        own = f"picture {number} of a {NAMES[number % 5]}"
        assert len(query["found"]) == 5
        assert all(text["hit"] == (text["text"] == own) for text in query["found"])
    for query in kept["text_to_image"]:
        number = int(query["text"].split()[1])
        assert all(x["hit"] == (100 + x["index"] == number) for x in query["found"])


def test_every_word_of_a_reading_has_its_shares(measured):
    kept, captions = read(measured, "attention"), read(measured, "captions")
    assert [reading["index"] for reading in kept] == spread(13, 4)
    for reading in kept:
        assert reading["words"][0] == "picture"
        caption = captions[reading["index"]]["text"].split()
        assert reading["words"] == caption[: len(reading["words"])]
        shares = np.array(reading["shares"])
        assert shares.shape == (len(reading["words"]), 2, 2)
        np.testing.assert_allclose(shares.sum(axis=(1, 2)), 1, atol=1e-4)


def test_pictures_are_those_the_model_sees(measured):
    index = read(measured, "captions")[0]["index"]
    with Image.open(picture_file(measured.workdir, "captions", "val", index)) as picture:
        assert picture.size == (16, 16)
        kept = np.asarray(picture.convert("RGB"), float)
    source = measured.source("val")
    seen = measured.transforms[1](source[index])["image"]
    # But for the losses of JPEG, which keeps the mean of a block.
    blocks = [x.reshape(2, 8, 2, 8, 3).mean(axis=(1, 3)) for x in (kept, seen)]
    np.testing.assert_allclose(*blocks, atol=6)
