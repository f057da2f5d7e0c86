"""What a caption metric returns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

References = Sequence[Sequence[str]]  # texts for each image


@dataclass(frozen=True)
class Score:
    """The value of a set of captions, and one for each image [N], in the order given."""

    corpus: float
    each: np.ndarray


def mean(each: Sequence[float]) -> Score:
    """The score of metrics whose corpus value is the mean over images."""
    each = np.asarray(each, np.float64)
    return Score(float(np.mean(each)), each)
