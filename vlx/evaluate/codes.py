"""How many of its codes a visual tokenizer uses."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from vlx.errors import UserError
from vlx.evaluate.context import Context
from vlx.evaluate.measured import Metrics
from vlx.layers.pixels import normalise
from vlx.models.capabilities import can
from vlx.parallel.compiled import compiled
from vlx.parallel.mesh import place_rows
from vlx.tasks import Task


def codes(context: Context, params: Any) -> Metrics:
    """Of all codes the share that some patch of the split has, and their perplexity.

    The perplexity is of the codes' distribution over all patches: that of so many codes in equal
    use. Both are bounded by the number of patches.
    """
    setup, task = context.setup, context.setup.task
    if not can(task.model, "tokens"):
        raise UserError(
            f"The evaluator 'codes' is for visual tokenizers, and {type(task.model).__name__} is "
            "none; take it out of evaluate.names."
        )
    run, total = compiled(_count, setup.mesh, task=task), np.zeros(task.config.codes)
    for batch in context.batches(context.source, setup.config.evaluate.examples):
        rows = place_rows({name: batch[name] for name in ("image", "weight")}, setup.mesh)
        total += np.asarray(run(params, rows["image"], rows["weight"]))
    share = total / total.sum()
    entropy = -np.sum(share * np.log(np.where(share > 0, share, 1)))
    return Metrics({"used": np.mean(total > 0), "perplexity": np.exp(entropy)})


def _count(params, image, weight, *, task: Task):
    """How many patches have each code: [V]."""
    image = normalise(image, task.pixels)
    tokens = task.model.apply({"params": params}, image, method="tokens")
    each = jnp.broadcast_to(weight[:, None], tokens.shape)
    return jnp.zeros(task.config.codes).at[tokens.reshape(-1)].add(each.reshape(-1))
