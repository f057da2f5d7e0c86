"""Places in a ranking, exact on sets whose similarities fit nowhere at once.

Letters: N queries, C candidates, E embedding.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vlx.evaluate.strips import over_rows

Array = jax.Array

NOBODY = -1  # the number of candidates that only fill up
UNIT = 128  # candidates come in such units, so that all similarities are computed alike


def ranks(
    queries: np.ndarray,
    query: np.ndarray,
    candidates: np.ndarray,
    candidate: np.ndarray,
    mesh: Mesh,
) -> np.ndarray:
    """The place, from 0, of the first right candidate of every query, most similar first: [N].

    queries: [N, E]; candidates: [C, E]. A candidate is right where its number, `candidate` [C], is
    the query's, `query` [N]; numbers are not negative. A query with none comes last.
    """
    missing = -len(candidates) % UNIT
    candidates = np.pad(candidates, [(0, missing), (0, 0)])
    candidate = np.pad(candidate, (0, missing), constant_values=NOBODY)
    rows, shared = (queries, query), (candidates, candidate)
    return over_rows(_products, rows, shared, columns=len(candidates), mesh=mesh)


def _products(queries: Array, query: Array, candidates: Array, candidate: Array) -> Array:
    similarity = jnp.einsum("NE,CE->NC", queries, candidates, precision="highest")
    return places(similarity, query, candidate)


def places(similarity: Array, query: Array, candidate: Array) -> Array:
    """As `ranks`, of similarities [N, C].

    Among equals the earlier candidate comes first, as in open_clip, so that a model to which all
    look alike is not praised for it. What is not a number comes before a right candidate that is
    one, and a right candidate that is none comes last.
    """
    real = candidate != NOBODY
    right = (query[:, None] == candidate) & real & ~jnp.isnan(similarity)
    own = jnp.where(right, similarity, -jnp.inf)
    place = jnp.argmax(own, axis=1, keepdims=True)  # the earliest of the most similar
    best = jnp.take_along_axis(own, place, axis=1)
    earlier = jnp.arange(len(candidate)) < place
    ahead = ~(similarity <= best) | ((similarity == best) & earlier)
    return jnp.sum(ahead & real, axis=1)
