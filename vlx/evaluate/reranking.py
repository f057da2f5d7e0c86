"""The best candidates of a dual encoder, put in order by a model that sees both sides at once.

Letters: N queries, C candidates, K of them the best, E embedding, M pairs.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vlx.evaluate.strips import over_rows
from vlx.parallel.mesh import batch_sharding, place_whole

Array = jax.Array
Match = Callable[[Any, Array, Array], Array]

UNIT = 128  # candidates come in such units, as in `ranks`


def best(
    queries: np.ndarray, candidates: np.ndarray, most: int, mesh: Mesh
) -> tuple[np.ndarray, np.ndarray]:
    """Places and similarities of the most similar candidates, in order: int, float32 [N, K].

    queries: [N, E]; candidates: [C, E]. Among equals the earlier comes first, as in `ranks`.
    """
    missing = -len(candidates) % UNIT
    real = np.arange(len(candidates) + missing) < len(candidates)
    shared = np.pad(candidates, [(0, missing), (0, 0)]), real
    how = {"columns": len(real), "mesh": mesh, "most": min(most, len(candidates))}
    place = over_rows(_places, (queries,), shared, **how)
    return place, over_rows(_similarities, (queries,), shared, **how)


def _places(queries: Array, candidates: Array, real: Array, most: int) -> Array:
    return _best(queries, candidates, real, most)[1]


def _similarities(queries: Array, candidates: Array, real: Array, most: int) -> Array:
    return _best(queries, candidates, real, most)[0]


def _best(queries: Array, candidates: Array, real: Array, most: int) -> tuple[Array, Array]:
    similarity = jnp.einsum("NE,CE->NC", queries, candidates, precision="highest")
    return jax.lax.top_k(jnp.where(real, similarity, -jnp.inf), most)


def match_pairs(
    match: Match,
    params: Any,
    images: np.ndarray,
    texts: np.ndarray,
    pairs: np.ndarray,
    batch_size: int,
    mesh: Mesh,
) -> np.ndarray:
    """Logits that images and texts belong together: float32 [M].

    images: uint8 [N, H, W, 3]; texts: int32 [C, T]; pairs: int [M, 2], places in both. Each
    different pair is computed once, in batches of one size.
    """
    different, where = np.unique(pairs, axis=0, return_inverse=True)
    logits = []
    for start in range(0, len(different), batch_size):
        rows = different[start : start + batch_size]
        full = rows[np.minimum(np.arange(batch_size), len(rows) - 1)]
        batch = place_whole((images[full[:, 0]], texts[full[:, 1]]), batch_sharding(mesh))
        logits.append(np.asarray(match(params, *batch))[: len(rows)])
    return np.concatenate(logits)[where.reshape(-1)]


def reranked(
    rank: np.ndarray, similarity: np.ndarray, logit: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """The place of the first right candidate after the best K are put in their new order: [N].

    rank: [N], its old place. similarity, logit, right: [N, K], of the best candidates in their old
    order. The new one follows the sum of logit and similarity; all other candidates stay behind.
    Equal and undefined sums count as in `ranks`.
    """
    score = logit + similarity
    own = np.where(right & ~np.isnan(score), score, -np.inf)
    place = np.argmax(own, axis=1, keepdims=True)
    first = np.take_along_axis(own, place, axis=1)
    earlier = np.arange(score.shape[1]) < place
    ahead = ~(score <= first) | ((score == first) & earlier)
    inside = np.sum(ahead, axis=1)
    return np.where(right.any(axis=1), inside, np.maximum(rank, score.shape[1]))
