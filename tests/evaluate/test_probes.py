"""Probes: neighbours that vote, and both probes on a run's features."""

import jax
import numpy as np
import pytest
from evaluate.meshes import mesh, unit

from vlx.errors import UserError
from vlx.evaluate import build_evaluators
from vlx.evaluate.context import Context
from vlx.evaluate.encode import Encoder
from vlx.evaluate.probes import NEIGHBOURS, TEMPERATURE, knn, linear_probe, nearest_neighbours

from tiny_run import config, fresh_params, ready, write_pictures


def votes(train, label, test, classes):
    """The rule written out: votes of the nearest, for every test example and class."""
    cosine = (test / np.linalg.norm(test, axis=1, keepdims=True)) @ (
        train / np.linalg.norm(train, axis=1, keepdims=True)
    ).T
    result = np.zeros((len(test), classes))
    for row, similarity in zip(result, cosine, strict=True):
        for n in np.argsort(-similarity, kind="stable")[:NEIGHBOURS]:
            row[label[n]] += np.exp(similarity[n] / TEMPERATURE)
    return result


@pytest.mark.parametrize("devices", [1, 8])
def test_the_nearest_vote_by_how_near_they_are(devices):
    train, test = 3 * unit(101, 7), 5 * unit(23, 7, seed=1)
    label = (np.arange(101) % 5).astype(np.int32)
    want = votes(train, label, test, 5)
    own = (np.arange(23) % 5).astype(np.int32)
    got = nearest_neighbours(train, label, test, own, 5, mesh(devices))
    np.testing.assert_array_equal(got, np.sum(want > want[np.arange(23), own, None], axis=1))


def test_fewer_examples_than_neighbours_all_vote():
    train, label = np.eye(3, dtype=np.float32), np.array([0, 1, 1], np.int32)
    got = nearest_neighbours(train, label, train, label, 2, mesh())
    np.testing.assert_array_equal(got, [0, 0, 0])


@pytest.fixture(scope="module")
def measure(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probes")
    pictures = write_pictures(folder / "pictures")

    def measure(devices: int = 1, data=None, **evaluate):
        evaluate = {"names": ("knn", "linear_probe"), "batch_size": 8} | evaluate
        data = {"source": "parquet", "path": str(pictures)} | (data or {})
        setup = ready(folder / "run", config(pictures, data=data, evaluate=evaluate), devices)
        params = fresh_params(setup)
        return {name: dict(run(params)) for name, run in build_evaluators(setup).items()}

    return measure


@pytest.fixture(scope="module")
def alone(measure):
    return measure()


def test_probes_learn_from_one_split_and_classify_the_other(alone):
    assert alone["knn"].keys() == {"top1", "top5", "chance"}
    assert alone["knn"]["chance"] == alone["linear_probe"]["chance"] == 1 / 5
    for metrics in alone.values():
        hits = metrics["top1"] * 13
        assert hits == pytest.approx(round(hits))


def test_eight_devices_and_padding_measure_the_same(measure, alone):
    assert measure(devices=8, batch_size=16)["knn"] == pytest.approx(alone["knn"])


def test_a_sample_of_the_training_images_may_do(measure):
    """With one example to learn from, every image gets its class."""
    top1 = measure(probe_examples=1, names=("knn",))["knn"]["top1"]
    assert top1 in (pytest.approx(2 / 13), pytest.approx(3 / 13))


class Counting(Encoder):
    """Counts the images that it makes features of."""

    def features(self, params, batches):
        vectors, fields = super().features(params, batches)
        COUNTED.append(len(vectors))
        return vectors, fields


COUNTED: list[int] = []


def test_images_are_encoded_once_for_both_probes(tmp_path):
    setup = ready(tmp_path / "run", config(write_pictures(tmp_path / "pictures")))
    encoder = Counting(setup.task, setup.tokenizer, 12, 8, setup.mesh)
    context, params = Context(setup, "val", encoder, "val"), fresh_params(setup)
    COUNTED.clear()
    first = knn(context, params), linear_probe(context, params)
    assert COUNTED == [29, 13]
    other = jax.tree.map(lambda x: x[..., ::-1] if x.ndim == 1 else -x, params)
    again = knn(context, other), linear_probe(context, other)
    assert COUNTED == 2 * [29, 13]
    assert first != again
    assert (knn(context, params), linear_probe(context, params)) == first


def test_data_without_labels_are_refused(measure, tmp_path):
    import pyarrow.parquet as pq

    for split in ("train", "val"):
        path = write_pictures(tmp_path / "labelled") / f"{split}.parquet"
        pq.write_table(pq.read_table(path).drop_columns("label"), tmp_path / f"{split}.parquet")
    with pytest.raises(UserError, match=r"evaluator knn needs labels, .* data\.label_column"):
        measure(data={"path": str(tmp_path)}, names=("knn",))
