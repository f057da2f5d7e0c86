"""Zero-shot classification: an image belongs to the class whose text lies nearest.

Letters: N examples, C classes, E embedding.
"""

from collections.abc import Sequence

import numpy as np

from vlx.evaluate.encode import Encoder
from vlx.evaluate.ranks import ranks


def classifier(encoder: Encoder, params, names: Sequence[str], templates: Sequence[str]):
    """A unit vector for each class: the mean over templates of unit text vectors, [C, E]."""
    texts = [template.format(name) for name in names for template in templates]
    vectors = encoder.texts(params, texts).reshape(len(names), len(templates), -1)
    return _unit(_unit(vectors).mean(axis=1))


def accuracy(images: np.ndarray, classes: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """Shares of images whose class is the first, and among the first five: [N, E], [C, E], [N]."""
    rank = ranks(images @ classes.T, label)
    result = {"top1": np.mean(rank < 1), "top5": np.mean(rank < 5), "chance": 1 / len(classes)}
    return {name: float(value) for name, value in result.items()}


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)
