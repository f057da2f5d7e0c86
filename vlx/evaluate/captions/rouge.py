"""ROUGE-L: the longest common subsequence of words (Lin 2004), as the COCO evaluation takes it."""

from collections.abc import Sequence

from vlx.evaluate.captions.score import References, Score, mean

BETA = 1.2  # recall counts as much more than precision


def rouge_l(candidates: Sequence[str], references: References) -> dict[str, Score]:
    """rouge_l of tokenised captions; the best precision and recall may be of two references."""
    pairs = zip(candidates, references, strict=True)
    return {"rouge_l": mean([_one(text, own) for text, own in pairs])}


def _one(text: str, references: Sequence[str]) -> float:
    words, others = text.split(" "), [reference.split(" ") for reference in references]
    common = [_longest_common(words, other) for other in others]
    if max(common) == 0:
        return 0.0
    precision = max(common) / len(words)
    recall = max(c / len(other) for c, other in zip(common, others, strict=True))
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    row = [0] * (len(b) + 1)  # lengths for the words of `a` so far and each beginning of `b`
    for x in a:
        above = row
        row = [0]
        for j, y in enumerate(b):
            row.append(above[j] + 1 if x == y else max(above[j + 1], row[j]))
    return row[-1]
