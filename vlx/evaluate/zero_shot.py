"""Zero-shot classification: an image belongs to the class whose text lies nearest.

Letters: N examples, C classes, P prompts of a class, E embedding.
"""

from typing import Any

import numpy as np
from jax.sharding import Mesh

from vlx.data import classification_source
from vlx.errors import UserError
from vlx.evaluate.context import Context
from vlx.evaluate.measured import Metrics, means
from vlx.evaluate.prompts import read_class_names, read_templates
from vlx.evaluate.ranks import ranks


def zero_shot(context: Context, params: Any) -> Metrics:
    """Accuracy of classifying the split's images by the names of their classes."""
    setup, encoder = context.setup, context.encoder
    data, c = setup.config.data, setup.config.evaluate
    source = classification_source(data, context.split, setup.image_size[0])
    names = read_class_names(c.class_names) if c.class_names else source.class_names
    if not names:
        raise UserError(
            f"The evaluator zero_shot needs class names, which {data.path or data.source} has not; "
            "add classnames.txt, set evaluate.class_names, or leave zero_shot out of "
            "evaluate.names."
        )
    templates = read_templates(c.templates) if c.templates else data.templates
    images, fields = encoder.images(params, context.batches(source, c.examples))
    check_labels(fields, len(names), "zero_shot")
    texts = [template.replace("{}", name) for name in names for template in templates]
    prompts = encoder.texts(params, texts).reshape(len(names), len(templates), -1)
    return accuracy(images, classifier(prompts), fields["label"], setup.mesh)


def classifier(prompts: np.ndarray) -> np.ndarray:
    """A unit vector for each class: the mean of its unit text vectors, [C, P, E] -> [C, E]."""
    mean = prompts.mean(axis=1)
    return mean / np.linalg.norm(mean, axis=-1, keepdims=True)


def accuracy(images: np.ndarray, classes: np.ndarray, label: np.ndarray, mesh: Mesh) -> Metrics:
    """Shares of images whose class is the first, and among the first five: [N, E], [C, E], [N]."""
    return shares(ranks(images, label, classes, np.arange(len(classes)), mesh), len(classes))


def shares(rank: np.ndarray, classes: int) -> Metrics:
    """Shares of first places and of the first five, and the share that guessing would reach."""
    return means({"top1": rank < 1, "top5": rank < 5}).also({"chance": 1 / classes})


def check_labels(fields: dict[str, np.ndarray], classes: int, evaluator: str) -> None:
    """Refuses examples without labels, and labels that no class has."""
    if "label" not in fields:
        raise UserError(
            f"The evaluator {evaluator} needs labels, which the data have not; set "
            f"data.label_column, or leave {evaluator} out of evaluate.names."
        )
    label = fields["label"]
    wrong = label[(label < 0) | (label >= classes)]
    if len(wrong):
        raise UserError(
            f"The evaluator {evaluator} has {classes} class names, but the data have the label "
            f"{wrong[0]}; class names stand in the order of the labels, from 0, one each."
        )
