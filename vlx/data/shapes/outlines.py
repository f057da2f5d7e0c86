"""The eight shapes as signed distances: negative inside, zero on the outline, positive outside.

Coordinates u (right) and v (down) are relative to the object's centre, in units of its radius;
so are the distances. They are exact inside and near edges; beyond corners they may be too short,
which only softens shadows.
"""

from collections.abc import Callable
from functools import cache
from math import cos, pi, sin, sqrt

import numpy as np

Array = np.ndarray


def _circle(u: Array, v: Array) -> Array:
    return np.sqrt(u * u + v * v) - 1.0


def _ring(u: Array, v: Array) -> Array:
    return np.abs(np.sqrt(u * u + v * v) - 0.74) - 0.26


def _square(u: Array, v: Array) -> Array:
    return np.maximum(np.abs(u), np.abs(v)) - 0.85


def _triangle(u: Array, v: Array) -> Array:
    sides = (sqrt(3) / 2) * np.abs(u) - 0.5 * (v + 0.83)
    return np.maximum(sides, v - 0.83)


def _cross(u: Array, v: Array) -> Array:
    u, v = np.abs(u), np.abs(v)
    return np.maximum(np.maximum(u, v) - 1.0, np.minimum(u, v) - 0.36)


def _heart(u: Array, v: Array) -> Array:
    """A square standing on its corner, with half a disc on each upper side."""
    side, corner = 1.17, 1.17 / sqrt(8)
    u, v = np.abs(u), v - 0.08
    square = (u + np.abs(v)) * sqrt(0.5) - side / 2
    u, v = u - corner, v + corner
    return np.minimum(square, np.sqrt(u * u + v * v) - side / 2)


def _crescent(u: Array, v: Array) -> Array:
    v = v * v
    a, b = u - 0.2, u - 0.64
    return np.maximum(np.sqrt(a * a + v) - 1.02, 0.84 - np.sqrt(b * b + v))


def _star(u: Array, v: Array) -> Array:
    """One of the ten equal edges, after folding the plane onto a tenth of the star."""
    u, v = np.abs(u), -v
    for angle in (-pi / 5, pi + pi / 5):  # the mirrors between arms
        mirror = cos(angle), sin(angle)
        past = np.maximum(u * mirror[0] + v * mirror[1], 0.0) * 2
        u, v = u - past * mirror[0], v - past * mirror[1]
    return np.abs(u) * _EDGE[0] + (v - 1.12) * _EDGE[1]


_INNER = 0.5 * 1.12  # radius of the star's inner corners
_EDGE = np.array([1.12 - _INNER * cos(pi / 5), _INNER * sin(pi / 5)])
_EDGE = (_EDGE / np.hypot(*_EDGE)).tolist()

OUTLINES: dict[str, Callable[[Array, Array], Array]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "heart": _heart,
    "ring": _ring,
    "crescent": _crescent,
}

# Distance from the centre to the farthest point, rounded up.
REACH = {
    "circle": 1.0,
    "square": 1.21,
    "triangle": 1.28,
    "star": 1.12,
    "cross": 1.07,
    "heart": 1.12,
    "ring": 1.0,
    "crescent": 1.15,
}

_STEP = 0.12


@cache
def interior(shape: str) -> tuple[Array, Array]:
    """Points spread evenly over the shape: u and v, [n] each."""
    ticks = np.arange(-1.26, 1.3, _STEP, dtype=np.float32)
    u, v = (x.ravel() for x in np.meshgrid(ticks, ticks))
    inside = OUTLINES[shape](u, v) <= 0
    return u[inside], v[inside]


@cache
def area(shape: str) -> float:
    """Area in squares of the radius."""
    return len(interior(shape)[0]) * _STEP**2
