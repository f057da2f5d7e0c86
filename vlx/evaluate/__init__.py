"""Measures of what a model has learned, chosen by what it can do."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from vlx.config import nearest
from vlx.errors import UserError
from vlx.evaluate.answering import statements, vqa
from vlx.evaluate.attentional import attentional_probe
from vlx.evaluate.captioning import captioning
from vlx.evaluate.classification import classification
from vlx.evaluate.codes import codes
from vlx.evaluate.context import Context
from vlx.evaluate.encode import Encoder
from vlx.evaluate.likelihood import likelihood
from vlx.evaluate.losses import losses
from vlx.evaluate.masked_patches import masked_patches
from vlx.evaluate.measured import Metrics
from vlx.evaluate.probes import knn, linear_probe
from vlx.evaluate.retrieval import retrieval
from vlx.evaluate.segmentation import segmentation
from vlx.evaluate.zero_shot import zero_shot
from vlx.parallel.mesh import check_batch
from vlx.train.setup import Setup

__all__ = ["EVALUATORS", "build_evaluators"]

EVALUATORS: dict[str, Callable[[Context, Any], Metrics]] = {
    "captioning": captioning,
    "classification": classification,
    "codes": codes,
    "losses": losses,
    "masked_patches": masked_patches,
    "likelihood": likelihood,
    "retrieval": retrieval,
    "zero_shot": zero_shot,
    "linear_probe": linear_probe,
    "attentional_probe": attentional_probe,
    "knn": knn,
    "vqa": vqa,
    "statements": statements,
    "segmentation": segmentation,
}


def build_evaluators(
    setup: Setup, names: Sequence[str] = (), split: str = "", kept_as: str = ""
) -> dict[str, Callable[..., Metrics]]:
    """Functions (params, step=None) -> metrics, by name; without names those that suit the task.

    kept_as: what files of examples are called by, in place of the split. Raises UserError for an
    unknown name.
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
    split = split or c.data.eval_split
    context = Context(setup, split, encoder, kept_as or split)
    return {name: partial(_evaluate, EVALUATORS[name], context) for name in names}


def _evaluate(evaluator, context: Context, params: Any, step: int | None = None) -> Metrics:
    """step: of the run, which the examples that are kept are of."""
    context.moment.step = step
    return evaluator(context, params)
