"""Compiled functions that everyone who asks for the same one shares."""

from collections.abc import Callable, Hashable
from functools import lru_cache, partial

import jax
from jax.sharding import Mesh

from vlx.parallel.mesh import replicated


@lru_cache(maxsize=64)
def compiled(function: Callable, mesh: Mesh, **static: Hashable) -> Callable:
    """function(*arrays, **static), jitted; every device, so every process, holds its results.

    Equal arguments yield the same object: what is asked for at every evaluation is traced once.
    """
    return jax.jit(partial(function, **static), out_shardings=replicated(mesh))
