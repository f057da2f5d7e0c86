"""A task's own losses on examples that it has not learned from."""

from collections import defaultdict
from typing import Any

import numpy as np

from vlx.errors import UserError
from vlx.evaluate.context import Context
from vlx.evaluate.measured import Metrics
from vlx.parallel.compiled import compiled
from vlx.parallel.mesh import place_rows
from vlx.tasks import Task


def losses(context: Context, params: Any) -> Metrics:
    """The mean of every term that examples yield by themselves, without what training draws.

    Terms that compare examples depend on the batch and are left out. What is masked depends on the
    examples alone, so that all evaluations are of the same. Raises UserError if no term is left.
    """
    totals, counts = defaultdict(float), defaultdict(float)
    for part in context.parts:
        _add(part, params, totals, counts)
    if not totals:
        raise UserError(
            "The evaluator losses finds nothing to measure: every term of this task compares the "
            "examples of a batch. Name others in evaluate.names."
        )
    return Metrics({name: totals[name] / max(counts[name], 1) for name in totals})


def _add(context: Context, params: Any, totals: dict, counts: dict) -> None:
    setup = context.setup
    task = setup.task
    run = compiled(_terms, setup.mesh, task=task)
    for batch in context.batches(context.source, setup.config.evaluate.examples):
        rows = place_rows({name: batch[name] for name in task.fields}, setup.mesh)
        for name, (total, count) in run(params, rows, setup.constants).items():
            totals[name] += float(np.asarray(total))
            counts[name] += float(np.asarray(count))


def _terms(params, batch, constants, *, task: Task):
    batch, buffers = task.prepare(params, {}, batch, 0, None, constants)
    return task.embed(params, buffers, batch, 0, {}).terms
