"""CIDEr-D: n-grams weighted by how rare they are (Vedantam et al. 2015)."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vlx.evaluate.captions.ngrams import LONGEST, Ngram, ngrams
from vlx.evaluate.captions.score import References, Score, mean

SIGMA = 6.0  # of the penalty for another length, in words
SCALE = 10.0


@dataclass(frozen=True)
class Frequencies:
    """In the references of how many of `images` images an n-gram occurs."""

    images: int
    count: Mapping[Ngram, int]

    def weight(self, run: Ngram) -> float:
        """Logarithm of the inverse share; a run that occurs nowhere counts as seen once."""
        return math.log(self.images) - math.log(max(1, self.count.get(run, 0)))


def frequencies(references: References) -> Frequencies:
    """Of tokenised references."""
    seen = Counter(run for own in references for run in {r for text in own for r in ngrams(text)})
    return Frequencies(len(references), seen)


def cider_d(
    candidates: Sequence[str], references: References, known: Frequencies | None = None
) -> dict[str, Score]:
    """cider_d of tokenised captions; frequencies are those of the references unless given.

    They make the value depend on the set: that of few images is not comparable, that of one is 0.
    """
    known = known or frequencies(references)
    pairs = zip(candidates, references, strict=True)
    return {"cider_d": mean([_one(text, own, known) for text, own in pairs])}


def _one(text: str, references: Sequence[str], known: Frequencies) -> float:
    own = _Vector(text, known)
    return SCALE * sum(own.like(_Vector(other, known)) for other in references) / len(references)


class _Vector:
    """Weighted n-grams of a text, and their norm for each n."""

    def __init__(self, text: str, known: Frequencies):
        count = ngrams(text)
        self.weights = {run: n * known.weight(run) for run, n in count.items()}
        squares = [0.0] * LONGEST
        for run, weight in self.weights.items():
            squares[len(run) - 1] += weight**2
        self.norms = [math.sqrt(x) for x in squares]
        self.length = sum(n for run, n in count.items() if len(run) == 2)  # pairs, as officially

    def like(self, other: "_Vector") -> float:
        """Mean cosine over n, where no run counts more than in `other`, times the penalty."""
        products = [0.0] * LONGEST
        for run, weight in self.weights.items():
            if theirs := other.weights.get(run):
                products[len(run) - 1] += min(weight, theirs) * theirs
        norms = [a * b for a, b in zip(self.norms, other.norms, strict=True)]
        cosines = [p / n if n else 0.0 for p, n in zip(products, norms, strict=True)]
        penalty = math.exp(-((self.length - other.length) ** 2) / (2 * SIGMA**2))
        return penalty * sum(cosines) / LONGEST
