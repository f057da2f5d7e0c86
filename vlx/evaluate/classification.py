"""How often a classifier is right.

Letters: N examples, C classes.
"""

from typing import Any

import numpy as np

from vlx.errors import UserError
from vlx.evaluate.context import Context
from vlx.evaluate.measured import Metrics, means
from vlx.models.capabilities import can


def classification(context: Context, params: Any) -> Metrics:
    """Accuracy by the first and the first five of the model's own classes."""
    setup = context.setup
    model = setup.task.model
    if not can(model, "classify"):
        raise UserError(
            f"The evaluator classification needs a model with classes, which "
            f"{type(model).__name__} has not; leave it out of evaluate.names."
        )
    batches = context.batches(context.source, setup.config.evaluate.examples)
    logits, fields = context.encoder.classes(params, batches)
    if "label" not in fields:
        raise UserError(
            f"The split {context.split!r} has no labels to compare with; set data.label_column."
        )
    return accuracy(logits, fields["label"])


def accuracy(logits: np.ndarray, label: np.ndarray) -> Metrics:
    """Of logits [N, C] and classes [N]; `chance` is that of the most frequent class.

    Raises UserError for labels that the model has no class for.
    """
    if label.max() >= logits.shape[1]:
        raise UserError(
            f"The data have labels up to {label.max()}, the model tells {logits.shape[1]} classes "
            "apart, counted from 0; set config.model.classes to those of the data."
        )
    own = np.take_along_axis(logits, label[:, None], axis=1)
    place = np.sum(logits > own, axis=1)
    shares = means({f"top{k}": place < k for k in (1, 5) if k < logits.shape[1]})
    return shares.also({"chance": np.bincount(label).max() / len(label)})
