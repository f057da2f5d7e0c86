"""Retrieval between images and texts of the same row.

Letters: N pairs, E embedding.
"""

import numpy as np


def recall(images: np.ndarray, texts: np.ndarray) -> dict[str, float]:
    """Recall at 1, 5, 10 and the median rank both ways, of unit vectors [N, E].

    Ranks count from 1; among equally near ones the earlier row comes first, as in open_clip.
    """
    similarity = images @ texts.T
    result = {}
    for way, matrix in (("image_to_text", similarity), ("text_to_image", similarity.T)):
        own = np.diagonal(matrix)[:, None]
        earlier = np.tri(len(matrix), k=-1, dtype=bool)
        rank = np.sum((matrix > own) | ((matrix == own) & earlier), axis=1)
        result |= {f"{way}_r{k}": float(np.mean(rank < k)) for k in (1, 5, 10)}
        result[f"{way}_median"] = float(np.floor(np.median(rank)) + 1)
    return result | {"chance": 1 / len(images)}
