"""What lies behind the objects: six kinds of muted patterns, dark, medium or light."""

from collections.abc import Callable
from colorsys import hsv_to_rgb
from functools import cache
from math import cos, hypot, pi, sin
from typing import NamedTuple

import numpy as np
from PIL import Image

from vlx.data.shapes.draws import Draws

Array = np.ndarray

TONES = {"dark": (0.14, 0.3), "medium": (0.44, 0.56), "light": (0.76, 0.94)}
CELLS = 7  # cells of a cloudy or tiled background, in a row


class Background(NamedTuple):
    kind: str
    tone: str
    first: tuple[float, float, float]  # red, green and blue, 0 .. 255
    second: tuple[float, float, float]
    frequency: float  # periods in the picture
    direction: float  # radians
    phase: tuple[float, float]
    cells: tuple[float, ...]  # 0 .. 1, CELLS * CELLS of them where the kind has cells


def draw_background(draws: Draws) -> Background:
    """A random background."""
    kind = draws.choose(KINDS)
    tone = draws.choose(tuple(TONES))
    value, hue = draws.uniform(*TONES[tone]), draws.uniform()
    other = value + draws.choose((-1, 1)) * draws.uniform(0.06, 0.14)
    return Background(
        kind=kind,
        tone=tone,
        first=_muted(hue, value, draws),
        second=_muted(hue + draws.uniform(-0.2, 0.2), other, draws),
        frequency=draws.uniform(2.5, 6.0),
        direction=draws.uniform(0, pi),
        phase=(draws.uniform(), draws.uniform()),
        cells=tuple(draws.uniform() for _ in range(CELLS**2)) if kind in _WITH_CELLS else (),
    )


def paint_background(b: Background, size: int) -> Array:
    """Red, green and blue planes: float32 [3, S, S], 0 .. 255."""
    first, second = (np.array(rgb, np.float32)[:, None, None] for rgb in (b.first, b.second))
    planes = _PAINTERS[b.kind](b, size) * (second - first)
    planes += first
    return np.broadcast_to(planes, (3, size, size)).copy() if b.kind == "plain" else planes


@cache
def centres(size: int) -> Array:
    """Where the pixels of a row have their centres, in picture widths: float32 [S]."""
    return (np.arange(size, dtype=np.float32) + 0.5) / size


def _plain(b: Background, size: int) -> Array:
    return np.zeros((1, 1, 1), np.float32)


def _shaded(b: Background, size: int) -> Array:
    """From one side to the other: [S, S], 0 .. 1."""
    along, down = cos(b.direction), sin(b.direction)
    x = centres(size) - 0.5
    return (x * along + (x * down)[:, None]) / (abs(along) + abs(down)) + 0.5


def _spotlit(b: Background, size: int) -> Array:
    """From a bright or dark spot outwards."""
    x, y = (centres(size) - phase for phase in b.phase)
    return np.sqrt(x * x + (y * y)[:, None]) * (1 / hypot(*(max(p, 1 - p) for p in b.phase)))


def _striped(b: Background, size: int) -> Array:
    along, down = cos(b.direction) * b.frequency, sin(b.direction) * b.frequency
    x = centres(size)
    return _square_wave(x * along + (x * down + b.phase[0])[:, None], size / b.frequency)


def _checked(b: Background, size: int) -> Array:
    x, y = (_square_wave(centres(size) * b.frequency + p, size / b.frequency) for p in b.phase)
    return x + y[:, None] - 2 * x * y[:, None]


def _cloudy(b: Background, size: int) -> Array:
    cells = Image.fromarray(np.array(b.cells, np.float32).reshape(CELLS, CELLS))
    return np.asarray(cells.resize((size, size), Image.Resampling.BICUBIC)).clip(0, 1)


def _tiled(b: Background, size: int) -> Array:
    cells = np.array(b.cells, np.float32).reshape(CELLS, CELLS)
    cell = (centres(size) * CELLS).astype(np.intp)
    return cells[cell[:, None], cell]


def _square_wave(x: Array, period: float) -> Array:
    """Half of each unit of x is 1, half 0, with ramps as wide as one of `period` pixels."""
    return ((np.abs(x - np.floor(x) - 0.5) - 0.25) * period + 0.5).clip(0, 1)


def _muted(hue: float, value: float, draws: Draws) -> tuple[float, float, float]:
    return tuple(
        255 * x for x in hsv_to_rgb(hue % 1, draws.uniform(0.02, 0.2), min(max(value, 0.03), 1))
    )


_PAINTERS: dict[str, Callable[[Background, int], Array]] = {
    "plain": _plain,
    "shaded": _shaded,
    "spotlit": _spotlit,
    "striped": _striped,
    "checked": _checked,
    "cloudy": _cloudy,
    "tiled": _tiled,
}
KINDS = tuple(_PAINTERS)
_WITH_CELLS = ("cloudy", "tiled")
