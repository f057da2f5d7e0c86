"""Runs of words, which BLEU and CIDEr count."""

from collections import Counter

LONGEST = 4

Ngram = tuple[str, ...]


def ngrams(text: str) -> Counter[Ngram]:
    """How often each run of 1 to LONGEST words occurs in a tokenised text."""
    words = text.split()
    return Counter(
        tuple(words[start : start + length])
        for length in range(1, LONGEST + 1)
        for start in range(len(words) - length + 1)
    )
