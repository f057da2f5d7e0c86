"""Readings: the tokens of a word together, one place before they are written."""

import numpy as np
import pytest

from vlx.evaluate.attention import by_word

PAD, START, END = 0, 1, 2
PIECES = {3: "a", 4: " red", 5: "dish", 6: " dot", 7: "."}


class Pieces:
    """A tokenizer whose words have one piece or several."""

    pad, end = PAD, END

    def decode(self, ids) -> str:
        return "".join(PIECES.get(int(n), "") for n in ids)


def test_a_word_has_the_mean_of_its_tokens():
    ids = np.array([START, 3, 4, 5, 6, 7, END, PAD, PAD])
    shares = np.arange(9.0)[:, None, None] * np.ones((9, 2, 3))
    words, means = by_word(Pieces(), ids, shares)
    assert words == ["a", "reddish", "dot."]
    assert [np.unique(mean).tolist() for mean in means] == [[0.0], [1.5], [3.5]]
    assert np.shape(means) == (3, 2, 3)


@pytest.mark.parametrize("ids", [[START, END, PAD], [START, PAD, PAD]])
def test_an_empty_text_has_no_words(ids):
    assert by_word(Pieces(), np.array(ids), np.ones((3, 2, 3))) == ([], [])
