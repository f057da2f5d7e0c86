"""Intervals: closed forms on few examples, the normal limit on many, sums of any kind."""

import numpy as np
import pytest

from vlx.errors import UserError
from vlx.evaluate.bootstrap import interval
from vlx.evaluate.captions import bleu_counts, bleu_from_counts


def test_equal_examples_leave_no_doubt():
    assert interval(np.full(7, 0.25)) == (0.25, 0.25)


def test_two_examples_have_three_means():
    """0, 1/2 and 1 with probabilities 1/4, 1/2, 1/4."""
    values = np.array([0.0, 1.0])
    assert interval(values) == (0.0, 1.0)
    assert interval(values, level=0.4) == (0.5, 0.5)


def test_many_examples_have_the_interval_of_the_normal_distribution():
    right = np.arange(1000) < 300
    margin = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    np.testing.assert_allclose(interval(right), (0.3 - margin, 0.3 + margin), atol=0.1 * margin)


def test_it_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(1)
    ends = [interval(random.normal(size=101), resamples=400) for _ in range(200)]
    covered = np.mean([lower <= 0 <= upper for lower, upper in ends])
    assert covered == pytest.approx(0.95, abs=0.04)


def test_the_same_examples_have_the_same_interval():
    values = np.random.default_rng(0).random(29)
    assert interval(values) == interval(values)


def test_a_function_of_sums_is_one_of_resampled_sums():
    """Numerator and denominator are drawn together: their constant ratio stays as it is."""
    count = np.arange(1, 12)
    ends = interval(np.stack([3 * count, count], axis=1), lambda sums: sums[:, 0] / sums[:, 1])
    np.testing.assert_allclose(ends, (3, 3))


def test_bleu_of_resampled_captions():
    candidates = ["a dog runs on grass", "two cats", "a man rides a horse", "a red bus"]
    references = [["a dog runs on the grass"], ["two cats sleep"], ["a man on a horse"], ["a bus"]]
    counts = bleu_counts(candidates, references)
    lower, upper = interval(counts, bleu_from_counts)
    assert lower.shape == upper.shape == (4,)
    value = bleu_from_counts(counts.sum(axis=0))
    assert np.all((lower < value) & (value < upper))


def test_no_examples_are_refused():
    with pytest.raises(UserError, match="no examples to take an interval over; measure at least"):
        interval(np.zeros(0))
