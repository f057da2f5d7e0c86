"""A scene's picture, antialiased, at any size.

Each object is drawn on the pixels around it only: its signed distance gives the coverage of each
pixel, its rim and its shadow. Light falls on the same domes that `maps.py` measures.

Letters: S side of the picture, h and w sides of an object's patch.
"""

from collections.abc import Callable
from math import ceil, cos, floor, sin
from typing import NamedTuple

import numpy as np

from vlx.data.shapes.background import centres, paint_background
from vlx.data.shapes.outlines import OUTLINES
from vlx.data.shapes.scene import Object, Scene

Array = np.ndarray

_BLUR = 0.03  # width of a shadow's edge, in picture widths
_CAST = 0.03  # how far shadows fall
_SHADE = 0.42  # part of the light that they take
_CONTRAST = 1.3  # of lit to unlit sides
_RIM = 0.14  # width of the darker rim, in radii


class Patch(NamedTuple):
    """The pixels around one object."""

    rows: slice
    columns: slice
    x: Array  # [w], from the object's centre, in picture widths
    y: Array  # [h]
    u: Array  # [h, w], in the coordinates of `outlines`
    v: Array
    distance: Array  # [h, w], in pixels; negative inside


def find_patch(o: Object, size: int) -> Patch:
    """The pixels that the object or its shadow can touch."""
    rows, columns = _span(o.y, o.reach + _BLUR, size), _span(o.x, o.reach + _BLUR, size)
    x, y = centres(size)[columns] - o.x, centres(size)[rows] - o.y
    u, v = o.local(x, y[:, None])
    distance = OUTLINES[o.shape](u, v) * (o.radius * size)
    return Patch(rows, columns, x, y, u, v, distance)


def draw_image(scene: Scene, patches: list[Patch], size: int) -> Array:
    """The picture: uint8 [S, S, 3]. patches: those of the scene's objects."""
    planes = paint_background(scene.background, size)
    for o, patch in zip(scene.objects, patches, strict=True):
        _cast_shadow(planes, patch, scene.light, size)
        _paint(planes, o, patch, scene.light, size)
    planes += 0.5
    return np.ascontiguousarray(planes.astype(np.uint8).transpose(1, 2, 0))


def _span(centre: float, reach: float, size: int) -> slice:
    return slice(max(0, floor((centre - reach) * size)), min(size, ceil((centre + reach) * size)))


def _cast_shadow(planes: Array, patch: Patch, light: tuple[float, float], size: int) -> None:
    """Darkens what lies under the object, moved away from the light by whole pixels."""
    columns, from_columns = _moved(patch.columns, round(-light[0] * _CAST * size), size)
    rows, from_rows = _moved(patch.rows, round(-light[1] * _CAST * size), size)
    shadow = patch.distance[from_rows, from_columns] * (_SHADE / (_BLUR * size)) + (1 - _SHADE / 2)
    planes[:, rows, columns] *= shadow.clip(1 - _SHADE, 1)


def _moved(part: slice, by: int, size: int) -> tuple[slice, slice]:
    """Where the part lies after a move, and what of it is still in the picture."""
    start, stop = max(0, part.start + by), min(size, part.stop + by)
    return slice(start, stop), slice(start - part.start - by, stop - part.start - by)


def _paint(planes: Array, o: Object, patch: Patch, light: tuple[float, float], size: int) -> None:
    """Lays the lit, textured object over the planes."""
    first = np.array(o.rgb, np.float32)[:, None, None]
    colour = first  # [3, h, w] from here on
    if o.texture != "plain":
        second = np.array(o.second, np.float32)[:, None, None]
        colour = first + _TEXTURES[o.texture](o, patch, size) * (second - first)
    colour = colour * _brightness(o, patch, light, size)
    np.minimum(colour, 255.0, out=colour)
    below = planes[:, patch.rows, patch.columns]
    colour -= below
    colour *= (0.5 - patch.distance).clip(0, 1)
    below += colour


def _brightness(o: Object, patch: Patch, light: tuple[float, float], size: int) -> Array:
    """Lambert's law to first order in the dome's slopes, and a darker rim: [h, w]."""
    level = 1.0 - _CONTRAST * (o.slant[0] * light[0] + o.slant[1] * light[1])
    curve = _CONTRAST * 2 * o.bulge / o.radius
    lit = patch.x * (curve * light[0]) + (patch.y * (curve * light[1]) + level)[:, None]
    rim = (patch.distance * (1 / (_RIM * o.radius * size)) + 1.0).clip(0, 1)
    rim *= rim
    rim *= lit * 0.3
    lit -= rim
    return lit


def _striped(o: Object, patch: Patch, size: int) -> Array:
    """How much of the second colour a pixel has: [h, w], 0 .. 1."""
    across = patch.u * (cos(o.direction) / 0.58) + patch.v * (sin(o.direction) / 0.58)
    return _step(_fold(across, o.phase) - 0.27, 0.58 * o.radius * size)


def _dotted(o: Object, patch: Patch, size: int) -> Array:
    u, v = _fold(patch.u / 0.56, o.phase), _fold(patch.v / 0.56, o.direction)
    return _step(0.31 - np.sqrt(u * u + v * v), 0.56 * o.radius * size)


def _checked(o: Object, patch: Patch, size: int) -> Array:
    period = 0.84 * o.radius * size
    u = _step(_fold(patch.u / 0.84, o.phase) - 0.25, period)
    v = _step(_fold(patch.v / 0.84, o.direction) - 0.25, period)
    return u + v - 2 * u * v


def _fold(x: Array, phase: float) -> Array:
    """Distance from the middle of the unit interval in which x lies: 0 .. 1/2."""
    x = x + phase
    return np.abs(x - np.floor(x) - 0.5)


def _step(x: Array, pixels: float) -> Array:
    """1 where x > 0, else 0, with a ramp one pixel wide; a unit of x is so many pixels."""
    return (x * pixels + 0.5).clip(0, 1)


_TEXTURES: dict[str, Callable[[Object, Patch, int], Array]] = {
    "striped": _striped,
    "dotted": _dotted,
    "checked": _checked,
}
