"""BLEU-1 to BLEU-4 with the closest reference length (Papineni et al. 2002).

Letters: N images.
"""

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from operator import or_

import numpy as np

from vlx.evaluate.captions.ngrams import LONGEST, ngrams
from vlx.evaluate.captions.score import References, Score

# Added to counts, as in the COCO evaluation: no quotient divides by zero, no product is zero.
ABOVE, BELOW = 1e-15, 1e-9


def bleu(candidates: Sequence[str], references: References) -> dict[str, Score]:
    """bleu_1 to bleu_4 of tokenised captions."""
    counts = bleu_counts(candidates, references)
    corpus, each = bleu_from_counts(counts.sum(axis=0)), bleu_from_counts(counts)
    return {f"bleu_{k + 1}": Score(float(corpus[k]), each[:, k]) for k in range(LONGEST)}


def bleu_counts(candidates: Sequence[str], references: References) -> np.ndarray:
    """What BLEU counts in each caption: float64 [N, 10].

    n-grams shared with a reference (n = 1 to 4), n-grams, words, words of the closest reference.
    The rows of any selection of images add up to what `bleu_from_counts` needs for its BLEU.
    """
    return np.array(
        [_count(text, own) for text, own in zip(candidates, references, strict=True)], np.float64
    )


def bleu_from_counts(counts: np.ndarray) -> np.ndarray:
    """BLEU-1 to BLEU-4 of sums of counts: [..., 10] -> [..., 4]."""
    shared, total = counts[..., :LONGEST], counts[..., LONGEST : 2 * LONGEST]
    length, closest = counts[..., -2:-1] + ABOVE, counts[..., -1:] + BELOW
    precision = np.cumprod((shared + ABOVE) / (total + BELOW), axis=-1)
    penalty = np.exp(np.minimum(0, 1 - closest / length))  # for captions that are too short
    return penalty * precision ** (1 / np.arange(1, LONGEST + 1))


def _count(text: str, references: Sequence[str]) -> list[int]:
    own = ngrams(text)
    most: Counter = reduce(or_, map(ngrams, references))  # a run counts as often as in any of them
    shared, total = [0] * LONGEST, [0] * LONGEST
    for run, count in own.items():
        total[len(run) - 1] += count
        shared[len(run) - 1] += min(count, most[run])
    length = len(text.split())
    lengths = [len(reference.split()) for reference in references]
    closest = min(lengths, key=lambda other: (abs(other - length), other))
    return [*shared, *total, length, closest]
