"""Ranks: those of sorting, ties and numbers that are none, and the same on any devices."""

import numpy as np
import pytest
from evaluate.meshes import mesh, unit

from vlx.evaluate import strips
from vlx.evaluate.ranks import ranks


def sorted_ranks(queries, query, candidates, candidate):
    """The same by sorting every row of all similarities at once."""
    order = np.argsort(-(queries @ candidates.T), axis=1, kind="stable")
    return np.argmax(candidate[order] == query[:, None], axis=1)


def several(queries: int = 101, candidates: int = 331, seed: int = 0):
    """Queries with several right candidates each, many of them equally near.

    Vectors are of small whole numbers, so that their products are exact and sorting is too.
    """
    rng = np.random.default_rng(seed)
    candidate = np.concatenate([np.arange(queries), rng.integers(0, queries, candidates - queries)])
    vectors = rng.integers(-3, 4, (candidates, 17)).astype(np.float32)
    vectors[rng.integers(0, candidates, 60)] = vectors[5]
    rows = rng.integers(-3, 4, (queries, 17)).astype(np.float32)
    return rows, np.arange(queries), vectors, rng.permutation(candidate)


def test_ranks_are_those_of_sorting():
    given = several()
    np.testing.assert_array_equal(ranks(*given, mesh()), sorted_ranks(*given))


@pytest.mark.parametrize("held", [1, 1000, 20_000])
def test_strips_and_devices_change_nothing(monkeypatch, held):
    given = several(seed=2)
    monkeypatch.setattr(strips, "HELD", held)
    want = sorted_ranks(*given)
    for devices in (1, 8):
        np.testing.assert_array_equal(ranks(*given, mesh(devices)), want)


def test_devices_change_nothing_to_the_last_bit():
    """Near-ties too: every device computes its similarities in the same way."""
    queries, candidates = unit(203, 37), unit(1009, 37, seed=1)
    queries[:, 1:] *= 1e-6  # most similarities differ in their last bits only
    own = np.arange(203)
    one, eight = (ranks(queries, own, candidates, np.arange(1009), mesh(n)) for n in (1, 8))
    np.testing.assert_array_equal(one, eight)


def test_a_strip_does_not_grow_with_the_candidates():
    assert all(strips._strip(10**7, columns) * columns <= strips.HELD for columns in (7, 10**5))
    assert strips._strip(10**7, 10**8) == 1
    assert strips._strip(5, 7) == 8


@pytest.mark.parametrize("devices", [1, 8])
def test_among_equals_the_earlier_comes_first(devices):
    same, numbers = np.ones((1001, 37), np.float32) / np.sqrt(37), np.arange(1001)
    own = np.array([0, 2, 1000], np.int32)
    got = ranks(same[:3], own, same, numbers, mesh(devices))
    np.testing.assert_array_equal(got, own)


def test_of_several_right_candidates_the_nearest_counts():
    queries, candidates = np.eye(3, dtype=np.float32)[:1], np.eye(3, dtype=np.float32)[[1, 0, 2, 0]]
    assert ranks(queries, np.array([7]), candidates, np.array([7, 3, 7, 7]), mesh()) == 1
    assert ranks(queries, np.array([7]), candidates, np.array([7, 7, 3, 3]), mesh()) == 0


def test_what_is_no_number_is_not_praised():
    queries = np.ones((1, 2), np.float32)
    candidates = np.array([[1, 0], [np.nan, 0], [0.5, 0], [2, 0]], np.float32)
    for own, place in ((0, 2), (1, 4), (2, 3), (3, 1)):
        assert ranks(queries, np.array([own]), candidates, np.arange(4), mesh()) == place


def test_a_query_without_a_right_candidate_comes_last():
    queries, candidates = unit(2, 5), unit(11, 5)
    got = ranks(queries, np.array([3, 99]), candidates, np.arange(11), mesh(2))
    assert got[0] < got[1] == 11
