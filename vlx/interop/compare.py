"""Two sets of parameters, array by array."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from vlx.errors import UserError


class Difference(NamedTuple):
    """How far two arrays of one path are apart; NaN if either holds one."""

    path: str
    largest: float
    scale: float  # largest absolute value of the first


def compare(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> list[Difference]:
    """Every array's largest difference, the largest first.

    Raises UserError if paths or shapes differ.
    """
    shapes = [{path: x.shape for path, x in params.items()} for params in (first, second)]
    differing = sorted(
        path
        for path in shapes[0].keys() | shapes[1].keys()
        if shapes[0].get(path) != shapes[1].get(path)
    )
    if differing:
        told = [f"{p}: {shapes[0].get(p, 'none')}, {shapes[1].get(p, 'none')}" for p in differing]
        more = f" and {len(told) - 5} more" if len(told) > 5 else ""
        raise UserError(f"These are two different models: {'; '.join(told[:5])}{more}.")
    differences = [
        Difference(
            path,
            float(np.max(np.abs(np.subtract(x, second[path], dtype=np.float64)), initial=0)),
            float(np.max(np.abs(x), initial=0)),
        )
        for path, x in first.items()
    ]
    return sorted(differences, key=lambda d: -np.inf if np.isnan(d.largest) else -d.largest)
