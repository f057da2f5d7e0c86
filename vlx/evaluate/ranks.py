"""Places in a ranking.

Letters: N rows, C candidates.
"""

import numpy as np


def ranks(similarity: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The place, from 0, of candidate `own` [N] in each row of [N, C], most similar first.

    Among equals the earlier candidate comes first, as in open_clip, so that a model to which all
    look alike is not praised for it. What is not a number ranks last.
    """
    value = np.take_along_axis(similarity, own[:, None], axis=1)
    ahead = ~(similarity <= value)
    earlier = np.arange(similarity.shape[1]) < own[:, None]
    return np.sum(ahead | ((similarity == value) & earlier), axis=1)
