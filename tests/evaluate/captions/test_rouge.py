"""ROUGE-L: closed forms."""

import numpy as np
import pytest

from vlx.evaluate.captions.rouge import rouge_l


def one(candidate: str, *references: str) -> float:
    return rouge_l([candidate], [references])["rouge_l"].corpus


def test_a_reference_has_full_score():
    assert one("a dog runs", "a cat", "a dog runs") == 1


@pytest.mark.parametrize(
    ("reference", "common"),
    [("police kill the gunman", 3), ("the gunman kill police", 2), ("a dog on grass", 0)],
)
def test_of_equal_lengths_it_is_the_share_of_common_words_in_order(reference, common):
    assert one("police killed the gunman", reference) == pytest.approx(common / 4)


def test_recall_counts_more():
    """Precision 1/2 and recall 1, against precision 1 and recall 1/2."""
    squared = 1.2**2
    assert one("a b", "a") == pytest.approx((1 + squared) / 2 / (1 + squared / 2))
    assert one("a", "a b") == pytest.approx((1 + squared) / 2 / (1 / 2 + squared))


def test_precision_and_recall_may_be_of_two_references():
    """Recall 1 of the first, precision 2/3 of the second."""
    want = (1 + 1.2**2) * 2 / 3 / (1 + 1.2**2 * 2 / 3)
    assert one("a b c", "a", "a b d e f g") == pytest.approx(want)


def test_an_empty_caption_scores_nothing():
    assert one("", "a dog") == 0


def test_the_corpus_is_the_mean_of_its_images():
    got = rouge_l(["a b", "c"], [["a b"], ["d"]])["rouge_l"]
    np.testing.assert_array_equal(got.each, [1, 0])
    assert got.corpus == 0.5
