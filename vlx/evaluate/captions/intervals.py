"""95 % intervals of caption metrics, over images."""

from collections.abc import Mapping, Sequence

from vlx.evaluate.bootstrap import interval
from vlx.evaluate.captions.bleu import bleu_counts, bleu_from_counts
from vlx.evaluate.captions.ptb import tokenize
from vlx.evaluate.captions.score import References, Score

MEANS = ("rouge_l", "cider_d", "spice")  # whose corpus value is the mean over images


def caption_intervals(
    scores: Mapping[str, Score], candidates: Sequence[str], references: References
) -> dict[str, tuple[float, float]]:
    """Ends of the interval of each score that has one, of texts as they were written.

    METEOR has none: it is no function of sums over images that are at hand here. CIDEr-D keeps
    the weights of its n-grams, which come from all references.
    """
    ends = {
        name: tuple(float(x) for x in interval(score.each))
        for name, score in scores.items()
        if name in MEANS
    }
    if "bleu_1" in scores:
        counts = bleu_counts(tokenize(candidates), [tokenize(texts) for texts in references])
        low, high = interval(counts, bleu_from_counts)
        names = (name for name in scores if name.startswith("bleu_"))
        ends |= {n: (float(a), float(b)) for n, a, b in zip(names, low, high, strict=True)}
    return ends
