"""Parameters layer by layer, whichever stacks they lie in.

An encoder may keep its layers in consecutive stacks, `encoder/lower/layers/...` before
`encoder/upper/layers/...`. Where one ends is a matter of the model's options, not of what the
layers have learned: here layer l is layer l, and its path names no stack.
"""

import re
from collections.abc import Mapping

import numpy as np

STACKS = ("lower", "upper")  # in their order, as vlx/layers/multiway.py calls them
PATTERN = re.compile(rf"(?P<owner>.*?)(?P<stack>{'|'.join(STACKS)})/(?P<rest>layers/.*)")

Place = tuple[str, int | None]  # a path without its stack; the number of a layer, or None
Shape = tuple[int, ...]


def places(shapes: Mapping[str, Shape]) -> dict[str, list[Place]]:
    """Where the values of each array belong: one place, or one for each layer of a stack."""
    found = {path: PATTERN.fullmatch(path) for path in shapes}
    lengths = {(m["owner"], m["stack"]): shapes[path][0] for path, m in found.items() if m}
    result = {}
    for path, m in found.items():
        if m is None:
            result[path] = [(path, None)]
            continue
        below = STACKS[: STACKS.index(m["stack"])]
        first = sum(lengths.get((m["owner"], stack), 0) for stack in below)
        layers = range(first, first + shapes[path][0])
        result[path] = [(m["owner"] + m["rest"], layer) for layer in layers]
    return result


def by_place(params: Mapping[str, np.ndarray]) -> dict[Place, np.ndarray]:
    """The values at every place."""
    result = {}
    for path, spots in places({path: x.shape for path, x in params.items()}).items():
        whole = spots[0][1] is None
        result |= {spot: params[path] if whole else params[path][n] for n, spot in enumerate(spots)}
    return result
