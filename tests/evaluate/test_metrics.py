"""Recall and accuracy: closed forms, ties, and models that have learned nothing."""

import numpy as np
import pytest

from vlx.evaluate.ranks import ranks
from vlx.evaluate.retrieval import recall
from vlx.evaluate.zero_shot import accuracy


def unit(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_perfect_pairs_have_full_recall():
    result = recall(np.eye(13), np.eye(13))
    assert {value for name, value in result.items() if name.endswith(("r1", "r5"))} == {1.0}
    assert result["image_to_text_median"] == result["text_to_image_median"] == 1.0
    assert result["chance"] == 1 / 13


def test_recall_counts_the_rows_within_a_rank():
    """Text i is the (i + 1)-th nearest of image i; each text's nearest image is the first."""
    texts = np.eye(12)
    images = np.stack([np.where(np.arange(12) < i, 2.0, 0.0) for i in range(12)]) + np.eye(12)
    result = recall(images, texts)
    assert result["image_to_text_r1"] == pytest.approx(1 / 12)
    assert result["image_to_text_r5"] == pytest.approx(5 / 12)
    assert result["image_to_text_r10"] == pytest.approx(10 / 12)
    assert result["image_to_text_median"] == 6.0


def test_directions_of_recall_swap_with_the_arguments():
    images, texts = unit(17, 5), unit(17, 5, seed=1)
    one, other = recall(images, texts), recall(texts, images)
    for name in ("r1", "r5", "r10", "median"):
        assert one[f"image_to_text_{name}"] == other[f"text_to_image_{name}"]


def test_recall_is_that_of_sorting():
    images, texts = unit(23, 3), unit(23, 3, seed=1)
    order = np.argsort(-(images @ texts.T), axis=1, kind="stable")
    place = np.argmax(order == np.arange(23)[:, None], axis=1)
    result = recall(images, texts)
    for k in (1, 5, 10):
        assert result[f"image_to_text_r{k}"] == pytest.approx(np.mean(place < k))


def test_among_equals_the_earlier_comes_first():
    np.testing.assert_array_equal(ranks(np.zeros((3, 5)), np.array([0, 2, 4])), [0, 2, 4])


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_a_collapsed_model_is_no_better_than_guessing(value):
    same, classes = np.full((20, 3), value), np.full((10, 3), value)
    label = np.arange(20) % 10
    assert recall(same, same)["image_to_text_r1"] <= 1 / 20
    assert accuracy(same, classes, label)["top1"] <= 1 / 10
    assert accuracy(same, classes, label)["top5"] <= 5 / 10


def test_accuracy_counts_first_and_first_five():
    """Image i lies nearest to class 0, then 1, and so on."""
    classes, images = np.eye(7), np.tile(np.linspace(1, 0, 7), (7, 1))
    result = accuracy(images, classes, np.arange(7))
    assert result == {"top1": pytest.approx(1 / 7), "top5": pytest.approx(5 / 7), "chance": 1 / 7}
