"""Encoders and evaluators: padding counts nothing, and devices and batches change nothing."""

import numpy as np
import pytest

from vlx.data import evaluation_batches
from vlx.errors import UserError
from vlx.evaluate import build_evaluators
from vlx.evaluate.encode import Encoder

from tiny_run import config, fresh_params, ready, write_pictures

PICTURES = 13  # no multiple of a batch


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Makes runs that have the same data and parameters."""
    folder = tmp_path_factory.mktemp("encode")
    pictures = write_pictures(folder / "pictures")

    def make(devices: int, **evaluate):
        return ready(folder / "run", config(pictures, evaluate=evaluate), devices)

    return make


@pytest.fixture(scope="module")
def measure(make):
    """Measures the parameters of a fresh run."""

    def measure(devices: int, **evaluate) -> dict:
        setup = make(devices, **evaluate)
        params = fresh_params(setup)
        return {name: dict(run(params)) for name, run in build_evaluators(setup).items()}

    return measure


@pytest.fixture(scope="module")
def alone(measure):
    return measure(1, batch_size=PICTURES)


@pytest.mark.parametrize("batch_size", [8, 16])
def test_eight_devices_and_padding_measure_the_same(measure, alone, batch_size):
    got = measure(8, batch_size=batch_size)
    assert got.keys() == alone.keys() == {"zero_shot", "retrieval"}
    for name, metrics in alone.items():
        assert got[name] == pytest.approx(metrics)


def test_every_example_counts_once(alone):
    assert alone["retrieval"]["chance"] == 1 / PICTURES


@pytest.mark.parametrize("batch_size", [8, 16])
def test_no_more_examples_than_asked_for(measure, batch_size):
    got = measure(8, batch_size=batch_size, examples=11, names=("retrieval",))
    assert got["retrieval"]["chance"] == 1 / 11


def test_vectors_are_of_unit_length_and_in_the_order_of_the_data(make):
    setup = make(8, batch_size=8)
    c, params = setup.config, fresh_params(setup)
    encoder = Encoder(setup.task, setup.tokenizer, c.tokenizer.length, 8, setup.mesh)
    source, transform = setup.source("val"), setup.transforms[1]
    with evaluation_batches(source, transform, 8, c.data) as batches:
        vectors, fields = encoder.images(params, batches)
    assert vectors.shape == (PICTURES, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    examples = [transform(source[i]) for i in range(PICTURES)]
    np.testing.assert_array_equal(fields["text"], [e["text"] for e in examples])
    order = [11, 2, 5, 7, 0, 1, 3, 4]
    batch = {name: np.stack([examples[i][name] for i in order]) for name in examples[0]}
    np.testing.assert_allclose(encoder.images(params, [batch])[0], vectors[order], atol=1e-5)


def test_an_unknown_evaluator_is_refused_with_the_nearest(make):
    with pytest.raises(UserError, match=r"'retrival'; did you mean 'retrieval'\?"):
        build_evaluators(make(1), ["retrival"])


def test_a_batch_that_does_not_divide_is_refused_with_sizes_that_would(make):
    with pytest.raises(UserError, match=r"evaluate\.batch_size=11 .* 8 devices; 8 or 16 would"):
        build_evaluators(make(8, batch_size=11))
