"""What evaluators return: values as they are, and how far they would move with other examples."""

import numpy as np
import pytest
from evaluate.meshes import mesh, unit

from vlx.evaluate.captions import caption_intervals, score_captions
from vlx.evaluate.measured import Metrics, means
from vlx.evaluate.retrieval import recall
from vlx.evaluate.zero_shot import shares


def test_means_lie_within_their_intervals():
    hit = np.arange(101) % 4 == 0
    metrics = means({"hit": hit, "rank": np.arange(101)})
    assert metrics == {"hit": pytest.approx(26 / 101), "rank": 50.0}
    low, high = metrics.intervals["hit"]
    deviation = np.std(hit) / np.sqrt(101)
    assert (low, high) == pytest.approx(
        (26 / 101 - 1.96 * deviation, 26 / 101 + 1.96 * deviation), abs=0.02
    )
    low, high = metrics.intervals["rank"]
    assert low < 50 < high


def test_values_of_one_owner_are_drawn_together():
    """Four equal values of each owner say no more than one."""
    hit = np.random.default_rng(0).random(53) < 0.4
    alone, four = (
        means({"hit": hit}),
        means({"hit": np.repeat(hit, 4)}, np.repeat(np.arange(53), 4)),
    )
    assert four == pytest.approx(alone)
    assert four.intervals["hit"] == pytest.approx(alone.intervals["hit"])


def test_what_is_added_keeps_its_intervals():
    both = means({"a": np.arange(5)}).also({"b": 1.0}).also(means({"c": np.arange(7)}))
    assert list(both) == ["a", "b", "c"]
    assert set(both.intervals) == {"a", "c"}
    assert isinstance(both, Metrics)


def test_recall_and_mean_ranks_have_intervals():
    metrics = recall(unit(17, 5), unit(17, 5, seed=1), np.arange(17), mesh())
    without = {"chance", "image_to_text_median", "text_to_image_median"}
    assert set(metrics) - set(metrics.intervals) == without
    assert all(low <= metrics[n] <= high for n, (low, high) in metrics.intervals.items())


def test_shares_of_classes_have_intervals():
    assert set(shares(np.arange(11), 11).intervals) == {"top1", "top5"}


def test_intervals_of_captions_hold_their_scores():
    texts = [f"a {word} on the {word}" for word in ("mat", "cat", "hat", "bat", "rat")]
    references = [
        (f"a {word} on a mat", "the cat is on the mat")
        for word in ("mat", "hat", "a", "cat", "rat")
    ]
    scores = score_captions(texts, references)
    ends = caption_intervals(scores, texts, references)
    assert set(ends) == set(scores)
    for name, (low, high) in ends.items():
        assert low <= scores[name].corpus <= high
        assert low < high
