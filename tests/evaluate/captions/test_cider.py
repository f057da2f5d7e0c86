"""CIDEr-D: closed forms on few captions, where the weights are known."""

import numpy as np
import pytest

from vlx.evaluate.captions.cider import Frequencies, cider_d, frequencies


def each(candidates, references, known=None) -> np.ndarray:
    return cider_d(candidates, references, known)["cider_d"].each


def test_a_reference_of_other_words_than_all_others_has_ten():
    texts = ["a b c d", "e f g h i"]
    np.testing.assert_allclose(each(texts, [[text] for text in texts]), 10)


def test_one_common_word_of_two():
    """All weights are log 2, so the cosine of words is 1/2; pairs and longer runs share nothing."""
    assert each(["a c", "x"], [["a b"], ["c d"]])[0] == pytest.approx(10 * (1 / 2) / 4)


def test_references_are_averaged():
    got = each(["a b c d", "x"], [["a b c d", "e f g h"], ["y"]])
    assert got[0] == pytest.approx(10 / 2)


def test_words_of_every_image_count_nothing():
    assert each(["the", "the"], [["the"], ["the"]]).tolist() == [0, 0]


def test_frequencies_count_images_not_references():
    got = frequencies([["a b", "a", "a a"], ["b"]])
    assert got.images == 2
    assert got.count[("a",)] == 1
    assert got.count[("b",)] == 2


def test_repeated_words_gain_nothing():
    """The caption's double word counts once, and makes its vector longer."""
    known = Frequencies(3, {})
    got = each(["a a b"], [["a b"]], known)
    words = (1 + 1) / (np.sqrt(4 + 1) * np.sqrt(2))
    pairs = 1 / np.sqrt(2)  # "a a" and "a b" against "a b"
    penalty = np.exp(-(1**2) / (2 * 6**2))
    assert got[0] == pytest.approx(10 * penalty * (words + pairs) / 4)


def test_given_frequencies_make_one_image_scorable():
    known = Frequencies(100, {("a",): 100})
    assert each(["a b c d"], [["a b c d"]])[0] == 0
    assert each(["a b c d"], [["a b c d"]], known)[0] == pytest.approx(10)


def test_an_empty_caption_scores_nothing():
    assert each(["", "a"], [["a"], ["b"]])[0] == 0
