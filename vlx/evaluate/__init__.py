"""Measures of what a model has learned, chosen by what it can do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from vlx.config import nearest
from vlx.data import classification_source, evaluation_batches
from vlx.errors import UserError
from vlx.evaluate.encode import Encoder
from vlx.evaluate.retrieval import recall
from vlx.evaluate.zero_shot import accuracy, classifier
from vlx.parallel.mesh import check_batch
from vlx.train.setup import Setup

__all__ = ["EVALUATORS", "build_evaluators"]

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Context:
    """What evaluators share: the run, its split, and compiled encoders."""

    setup: Setup
    split: str
    encoder: Encoder

    def batches(self, source):
        """The split's batches, padded, and no more examples than the config says."""
        c = self.setup.config
        size, most = c.evaluate.batch_size, c.evaluate.examples or len(source)
        transform = self.setup.transforms[1]
        host, hosts = jax.process_index(), jax.process_count()
        own = np.arange(size // hosts) + host * (size // hosts)  # this host's rows of a batch
        with evaluation_batches(source, transform, size, c.data, host, hosts) as batches:
            for first, batch in zip(range(0, most, size), batches, strict=False):
                batch["weight"][first + own >= most] = 0
                yield batch


def zero_shot(context: Context, params: Any) -> Metrics:
    """Accuracy of classifying the split's images by its class names."""
    data, size = context.setup.config.data, context.setup.image_size[0]
    source = classification_source(data, context.split, size)
    if not source.class_names:
        raise UserError(
            f"The evaluator zero_shot needs class names, which {data.path or data.source} has not; "
            "add classnames.txt, or leave zero_shot out of evaluate.names."
        )
    images, fields = context.encoder.images(params, context.batches(source))
    classes = classifier(context.encoder, params, source.class_names, data.templates)
    return accuracy(images, classes, fields["label"])


def retrieval(context: Context, params: Any) -> Metrics:
    """Recall between the split's images and their first captions."""
    source = context.setup.source(context.split)
    images, fields = context.encoder.images(params, context.batches(source))
    return recall(images, context.encoder.tokens(params, fields["text"]))


EVALUATORS: dict[str, Callable[[Context, Any], Metrics]] = {
    "retrieval": retrieval,
    "zero_shot": zero_shot,
}


def build_evaluators(
    setup: Setup, names: Sequence[str] = (), split: str = ""
) -> dict[str, Callable[[Any], Metrics]]:
    """Functions of the parameters, by name; without names those that suit the task.

    Raises UserError for an unknown name.
    """
    c = setup.config
    names = names or c.evaluate.names or setup.task.evaluators
    for name in names:
        if name not in EVALUATORS:
            raise UserError(f"No evaluator is called {name!r}; {nearest(name, EVALUATORS)}")
    check_batch(c.evaluate.batch_size, 1, setup.mesh, key="evaluate.batch_size")
    setup.check_tokenizer()
    encoder = Encoder(
        setup.task, setup.tokenizer, c.tokenizer.length, c.evaluate.batch_size, setup.mesh
    )
    context = Context(setup, split or c.data.eval_split, encoder)
    return {name: lambda params, run=EVALUATORS[name]: run(context, params) for name in names}
