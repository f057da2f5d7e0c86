"""Accuracy of a classifier: closed forms, and labels that it cannot know."""

import numpy as np
import pytest

from vlx.errors import UserError
from vlx.evaluate.classification import accuracy

LOGITS = np.array([[3, 2, 1, 0, -1, -2, -3], [0, 1, 2, 3, 4, 5, 6]], np.float32)


def test_the_first_and_the_first_five_count():
    got = accuracy(LOGITS, np.array([0, 2]))
    assert (got["top1"], got["top5"], got["chance"]) == (0.5, 1.0, 0.5)
    assert accuracy(LOGITS, np.array([6, 0]))["top5"] == 0


def test_labels_beyond_the_classes_are_named():
    with pytest.raises(
        UserError, match=r"labels up to 7, the model tells 7 classes .*model\.classes"
    ):
        accuracy(LOGITS, np.array([0, 7]))
