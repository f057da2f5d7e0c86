"""What frozen features know: classifiers that are trained on them in minutes.

Letters: N examples to learn from, M to classify, D width, C classes.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vlx.data import SampleSource, Source, classification_source
from vlx.evaluate.context import Context
from vlx.evaluate.measured import Metrics
from vlx.evaluate.ranks import places
from vlx.evaluate.regression import choose_strength, fit, scores
from vlx.evaluate.strips import over_rows
from vlx.evaluate.zero_shot import check_labels, shares

Array = jax.Array

NEIGHBOURS, TEMPERATURE = 20, 0.07  # as DINO's k-NN, arXiv 2104.14294
ANY_LABEL = np.iinfo(np.int32).max  # where classes have no names


def knn(context: Context, params: Any) -> Metrics:
    """Accuracy of the 20 nearest training images, which vote by how near they are."""
    train, label, test, test_label, classes = _features(context, params, "knn")
    rank = nearest_neighbours(train, label, test, test_label, classes, context.setup.mesh)
    return shares(rank, classes)


def linear_probe(context: Context, params: Any) -> Metrics:
    """Accuracy of a multinomial logistic regression, regularised as held-out images want it."""
    train, label, test, test_label, classes = _features(context, params, "linear_probe")
    mesh = context.setup.mesh
    strength = choose_strength(train, label, classes, mesh)
    rank = scores(fit(train, label, classes, strength, mesh), test, test_label, mesh)
    return shares(rank, classes).also({"weight_decay": strength})


def nearest_neighbours(
    train: np.ndarray,
    label: np.ndarray,
    test: np.ndarray,
    test_label: np.ndarray,
    classes: int,
    mesh: Mesh,
) -> np.ndarray:
    """The place, from 0, of each test example's own class among the votes: [M].

    train: [N, D]; test: [M, D]. Of the 20 nearest by cosine each has exp(cosine / 0.07) votes.
    """
    train, test = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, test))
    count = min(NEIGHBOURS, len(train))
    columns, options = max(len(train), count * classes), {"count": count, "classes": classes}
    return over_rows(_vote, (test, test_label), (train, label), columns, mesh, **options)


def _vote(test: Array, test_label: Array, train: Array, label: Array, count: int, classes: int):
    similarity = jnp.einsum("MD,ND->MN", test, train, precision="highest")
    nearest, index = jax.lax.top_k(similarity, count)
    # Relative to the nearest, which changes no order and cannot overflow.
    weight = jnp.exp((nearest - nearest[:, :1]) / TEMPERATURE)
    votes = jnp.einsum("Mk,MkC->MC", weight, jax.nn.one_hot(label[index], classes))
    return places(votes, test_label, jnp.arange(classes))


def labelled_splits(context: Context) -> tuple[Source, Source]:
    """Images to learn from, `evaluate.probe_examples` of them, and the split's to classify."""
    data, size = context.setup.config.data, context.setup.image_size[0]
    source = classification_source(data, data.train_split, size)
    train = SampleSource(source, context.setup.config.evaluate.probe_examples or len(source))
    return train, classification_source(data, context.split, size)


def _features(context: Context, params: Any, evaluator: str):
    """Features and labels to learn from and to classify, and the number of classes.

    Both probes measure the same ones, which are encoded once.
    """
    return context.remembered.get("features", params, lambda: _encoded(context, params, evaluator))


def _encoded(context: Context, params: Any, evaluator: str):
    train, test = labelled_splits(context)
    found, labels = [], []
    for source, most in ((train, 0), (test, context.setup.config.evaluate.examples)):
        vectors, fields = context.encoder.features(params, context.batches(source, most))
        check_labels(fields, len(source.class_names) or ANY_LABEL, evaluator)
        found.append(vectors)
        labels.append(fields["label"])
    classes = max(len(train.class_names), *(int(label.max()) + 1 for label in labels))
    return found[0], labels[0], found[1], labels[1], classes
