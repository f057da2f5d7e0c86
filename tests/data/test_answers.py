"""The spelling of answers, and what annotators make them worth."""

import pytest

from vlx.data.answers import CONTRACTIONS, normalise, soft_score


@pytest.mark.parametrize(
    ("answer", "spelled"),
    [
        ("The Red  Ball", "red ball"),
        ("an", ""),
        ("two dogs", "2 dogs"),
        ("none", "0"),
        ("eleven", "eleven"),
        ("black/white", "black white"),
        ("black / white", "black white"),
        ("t-shirt", "t shirt"),
        ("t- shirt", "t shirt"),
        ("a-b -c", "ab c"),  # beside a space once: removed wherever it stands
        ("1,000", "1000"),
        ("1,000-year", "1000year"),  # beside such a number all punctuation goes without a space
        ("red, blue", "red blue"),
        ("red,blue", "red blue"),
        ("no.", "no"),
        ("3.5", "3.5"),
        ("U.S.A.", "usa"),
        ("10:30", "10:30"),
        ("50%", "50%"),
        ("dont", "don't"),
        ("its", "its"),
        ("couldntve", "couldntve"),
    ],
)
def test_normalise(answer, spelled):
    assert normalise(answer) == spelled


def test_contractions_are_known_without_one_apostrophe():
    assert CONTRACTIONS["couldn'tve"] == CONTRACTIONS["couldnt've"] == "couldn't've"
    assert CONTRACTIONS["twas"] == "'twas"


@pytest.mark.parametrize(
    ("annotators", "score"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)]
)
def test_soft_score(annotators, score):
    assert soft_score(annotators) == score
