"""BLEU: counts by hand, lengths, and sums over images."""

import numpy as np
import pytest

from vlx.evaluate.captions.bleu import bleu, bleu_counts, bleu_from_counts

CANDIDATES = ["a dog runs on grass", "two cats", "", "a red bus on a street"]
REFERENCES = [
    ["a dog runs on the grass", "the dog runs"],
    ["two cats sleep on a bed"],
    ["a man"],
    ["a bus", "a red bus is on the street", "a street"],
]


def values(candidates, references) -> list[float]:
    return [score.corpus for score in bleu(candidates, references).values()]


def test_a_reference_has_full_score():
    text = "a dog runs on the grass"
    np.testing.assert_allclose(values([text], [["a cat", text]]), 1, rtol=1e-8)


def test_a_word_counts_as_often_as_in_one_reference():
    """The example of the paper: 2 of 7."""
    references = [["the cat is on the mat", "there is a cat on the mat"]]
    assert values(["the the the the the the the"], references)[0] == pytest.approx(2 / 7)


def test_precisions_are_averaged_geometrically():
    """4 of 5 words, 3 of 4 pairs, 2 of 3 triples and 1 of 2 runs of four; 5 words against 5."""
    want = np.cumprod([4 / 5, 3 / 4, 2 / 3, 1 / 2]) ** (1 / np.arange(1, 5))
    np.testing.assert_allclose(values(["a b c d x"], [["a b c d e"]]), want, rtol=1e-6)


def test_short_captions_are_punished_by_the_closest_length():
    got = values(["a b"], [["a b c d", "a b c d e f"]])
    assert got[0] == pytest.approx(np.exp(1 - 4 / 2))


def test_of_two_closest_lengths_the_shorter_counts():
    assert bleu_counts(["a b c d"], [["a b c d e", "a b c"]])[0, -1] == 3


def test_counts_of_images_add_up():
    counts = bleu_counts(CANDIDATES, REFERENCES)
    got = bleu(CANDIDATES, REFERENCES)
    for k in range(4):
        score = got[f"bleu_{k + 1}"]
        assert score.corpus == bleu_from_counts(counts.sum(axis=0))[k]
        np.testing.assert_array_equal(score.each, bleu_from_counts(counts)[:, k])


def test_an_empty_caption_scores_nothing():
    assert bleu(CANDIDATES, REFERENCES)["bleu_1"].each[2] == 0
