"""Retrieval between images and texts of the same row.

Letters: N pairs, E embedding.
"""

import numpy as np

from vlx.evaluate.ranks import ranks


def recall(images: np.ndarray, texts: np.ndarray) -> dict[str, float]:
    """Recall at 1, 5, 10 and the median rank both ways, of unit vectors [N, E].

    Ranks count from 1.
    """
    similarity = images @ texts.T
    result = {}
    for way, matrix in (("image_to_text", similarity), ("text_to_image", similarity.T)):
        rank = ranks(matrix, np.arange(len(matrix)))
        result |= {f"{way}_r{k}": float(np.mean(rank < k)) for k in (1, 5, 10)}
        result[f"{way}_median"] = float(np.floor(np.median(rank)) + 1)
    return result | {"chance": 1 / len(images)}
