"""Likelihood of references: closed forms, and the same on any number of devices."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from vlx.errors import UserError
from vlx.evaluate import build_evaluators
from vlx.evaluate.likelihood import likelihood, likelihoods

from tiny_run import NAMES, config, fresh_params, ready, write_pictures


def test_a_coin_has_perplexity_two():
    tokens = np.array([3, 5, 7, 11])
    metrics = likelihoods(-tokens * np.log(2), tokens)
    assert metrics["perplexity"] == pytest.approx(2)
    assert metrics.intervals["perplexity"] == pytest.approx((2, 2))
    assert metrics["log_likelihood"] == pytest.approx(-6.5 * np.log(2))


def test_long_texts_count_by_their_tokens():
    metrics = likelihoods(np.array([-10.0, 0.0]), np.array([1, 9]))
    assert metrics["perplexity"] == pytest.approx(np.e)


@pytest.fixture(scope="module")
def measure(tmp_path_factory):
    folder = tmp_path_factory.mktemp("likelihood")
    pictures = write_pictures(folder / "pictures")

    def measure(devices: int):
        settings = {"names": ("likelihood",), "batch_size": 8}
        setup = ready(folder / f"run{devices}", config(pictures, evaluate=settings), devices)
        metrics = build_evaluators(setup)["likelihood"](fresh_params(setup))
        return metrics, setup.workdir / "evaluations"

    return measure


def test_the_least_likely_are_kept_with_their_pictures(measure):
    metrics, folder = measure(1)
    kept = json.loads((folder / "likelihood-val.json").read_text())
    values = [example["log_likelihood"] for example in kept]
    assert values == sorted(values)
    assert len(values) == 12  # of 13
    assert np.mean(values) < metrics["log_likelihood"]
    for example in kept:
        number = 100 + example["index"]
        assert example["text"] == f"picture {number} of a {NAMES[number % 5]}"
        assert (folder / "likelihood-val" / f"{example['index']}.jpg").is_file()
    assert measure(8)[0] == pytest.approx(metrics)


def test_a_model_that_ranks_nothing_is_refused():
    task = SimpleNamespace(model=object())
    context = SimpleNamespace(setup=SimpleNamespace(task=task))
    with pytest.raises(UserError, match=r"likelihood needs a model that ranks.*object does not"):
        likelihood(context, None)
