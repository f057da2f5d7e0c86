"""How likely a model finds what people wrote.

Letters: N examples.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vlx.data import retrieval_source
from vlx.errors import UserError
from vlx.evaluate.bootstrap import interval
from vlx.evaluate.context import Context
from vlx.evaluate.examples import keep_examples, keep_pictures
from vlx.evaluate.measured import Metrics, means
from vlx.models.capabilities import can
from vlx.parallel.mesh import place_rows
from vlx.parallel.start import from_all_processes

WORST = 12  # examples that are kept to be looked at


@dataclass(frozen=True)
class Ranked:
    """An example's first reference, and how likely the model finds it."""

    index: int
    text: str
    log_likelihood: float


def likelihood(context: Context, params: Any) -> Metrics:
    """Log-likelihood of the first reference of every image, and perplexity by token.

    The least likely are kept in the run's evaluations/likelihood-SPLIT.json. Raises UserError for
    a model that cannot tell how likely a text is.
    """
    setup = context.setup
    if not can(setup.task.model, "rank"):
        raise UserError(
            f"The evaluator likelihood needs a model that ranks texts, which "
            f"{type(setup.task.model).__name__} does not; leave it out of evaluate.names."
        )
    source = retrieval_source(setup.config.data, context.split, setup.image_size[0])
    found = []
    for batch in context.batches(source, setup.config.evaluate.examples):
        rows = place_rows({name: batch[name] for name in ("image", "text")}, setup.mesh)
        value = np.asarray(context.likelihood(params, rows["image"], rows["text"]))
        tokens = from_all_processes(batch["text_mask"]).sum(axis=1) - 1  # the first is given
        index, weight = (from_all_processes(batch[name]) for name in ("index", "weight"))
        found.append(np.stack([value, tokens, index], axis=1)[weight > 0])
    value, tokens, index = np.concatenate(found).T.astype(np.float64)
    worst = [
        Ranked(int(index[n]), source[int(index[n])]["captions"][0], float(value[n]))
        for n in np.argsort(value, kind="stable")[:WORST]
    ]
    keep_examples(context, "likelihood", [asdict(example) for example in worst])
    keep_pictures(context, "likelihood", source, [example.index for example in worst])
    return likelihoods(value, tokens)


def likelihoods(value: np.ndarray, tokens: np.ndarray) -> Metrics:
    """The mean log-likelihood and the perplexity of texts: [N] and their numbers of tokens [N]."""

    def perplexity(sums):
        return np.exp(-sums[..., 0] / sums[..., 1])

    each = np.stack([value, tokens], axis=1)
    low, high = interval(each, perplexity)
    whole = Metrics({"perplexity": perplexity(each.sum(axis=0))}, {"perplexity": (low, high)})
    return means({"log_likelihood": value}).also(whole)
