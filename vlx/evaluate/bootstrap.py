"""How far a measured value would move with other examples: percentile bootstrap (Efron 1979).

Letters: N examples, S statistics of an example.
"""

from collections.abc import Callable

import numpy as np

from vlx.errors import UserError

LEVEL = 0.95
RESAMPLES = 2000
SEED = 0  # fixed, so that the same examples have the same interval
DRAWS = 2**14  # at a time: what fits a processor's cache


def interval(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the interval of a mean, or of a function of sums, over examples.

    values: [N] or [N, S], what each example adds. statistic: from sums over N examples, [R] or
    [R, S] for R resamples, to values [R, ...]; without it, their mean. The ends have the shape of
    one value. Corpus metrics are such functions: `interval(bleu_counts(...),
    bleu_from_counts)` is that of BLEU-1 to BLEU-4.

    Raises UserError without examples.
    """
    values = np.asarray(values, np.float64)
    count = len(values)
    if count == 0:
        raise UserError("There are no examples to take an interval over; measure at least one.")
    random = np.random.default_rng(SEED)
    rows = max(1, DRAWS // count)
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    sums = np.concatenate([_draw(random, size, count) @ values for size in sizes])
    drawn = statistic(sums) if statistic else sums / count
    lower, upper = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return lower, upper


def _draw(random: np.random.Generator, resamples: int, count: int) -> np.ndarray:
    """How often each example is drawn when `count` are, with replacement: [R, N]."""
    drawn = random.integers(count, size=(resamples, count)) + count * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count)
