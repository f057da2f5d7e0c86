"""What is in a picture: objects, background and light, drawn from (split, index) alone.

Geometry is in picture widths: x to the right and y down, from 0 to 1. The objects of a scene are
ordered from back to front.
"""

from colorsys import hsv_to_rgb
from math import cos, hypot, pi, sin
from typing import NamedTuple

import numpy as np

from vlx.data.shapes.background import Background, draw_background
from vlx.data.shapes.draws import Draws
from vlx.data.shapes.outlines import OUTLINES, REACH, area, interior
from vlx.data.shapes.vocabulary import (
    CLASS_NAMES,
    COLOURS,
    HELD_OUT,
    SHAPES,
    SIZES,
    SPLITS,
    TEXTURES,
)

VERSION = 1  # of the world: another number, other scenes

Array = np.ndarray
Rgb = tuple[float, float, float]  # 0 .. 255

RADIUS = {"small": (0.085, 0.1), "medium": (0.135, 0.155), "large": (0.195, 0.225)}
TURN = 0.25  # objects lean by at most so many radians

# Middle and half width of hue (degrees), saturation and value.
_HSV = {
    "red": ((0, 4), (0.9, 0.06), (0.84, 0.08)),
    "orange": ((27, 4), (0.92, 0.05), (0.96, 0.04)),
    "yellow": ((54, 4), (0.88, 0.08), (0.96, 0.04)),
    "green": ((125, 15), (0.72, 0.12), (0.66, 0.1)),
    "cyan": ((183, 5), (0.75, 0.12), (0.88, 0.06)),
    "blue": ((226, 8), (0.82, 0.1), (0.84, 0.1)),
    "purple": ((277, 7), (0.74, 0.1), (0.66, 0.1)),
    "pink": ((330, 7), (0.5, 0.07), (0.97, 0.03)),
}

_SEEN = 0.38  # of every object at least; a margin for what sampling the outline misses
_ROOM = 0.17  # sum of squared radii from which on objects are small
_ALLOWED = tuple(name for name in CLASS_NAMES if name not in HELD_OUT)
_ALLOWED_WITH = {
    word: tuple(name for name in _ALLOWED if word in name.split()) for word in COLOURS + SHAPES
}


class Object(NamedTuple):
    shape: str
    colour: str
    size: str
    texture: str
    x: float
    y: float
    radius: float
    angle: float  # radians
    rgb: Rgb  # of the object
    second: Rgb  # of its stripes, dots or checks
    phase: float  # of the texture, 0 .. 1
    direction: float  # of stripes, radians
    bulge: float  # height of the dome over the rim circle, in radii
    slant: tuple[float, float]  # growth of height to the right and down

    @property
    def class_name(self) -> str:
        return f"{self.colour} {self.shape}"

    @property
    def reach(self) -> float:
        return self.radius * REACH[self.shape]

    def local(self, dx: Array, dy: Array) -> tuple[Array, Array]:
        """Coordinates (u, v) of `outlines` for offsets from the centre in picture widths."""
        c, s = cos(self.angle) / self.radius, sin(self.angle) / self.radius
        return dx * c + dy * s, dy * c - dx * s


class Scene(NamedTuple):
    key: tuple[int, int, int]  # world version, split and index
    objects: tuple[Object, ...]  # back to front
    visible: tuple[float, ...]  # of each object, the part of its area that is seen
    covers: frozenset[tuple[int, int]]  # (front, back): front hides a tenth of back or more
    background: Background
    light: tuple[float, float]  # towards the light: right and down

    @property
    def held_out(self) -> bool:
        """Whether the scene, and so a text about it, may hold the held-out combinations."""
        return self.key[1] == _SPLIT_NUMBERS["unseen"]

    @property
    def prominent(self) -> Object:
        """The object of which the largest area is seen."""
        seen = [
            part * area(o.shape) * o.radius**2
            for o, part in zip(self.objects, self.visible, strict=True)
        ]
        return self.objects[seen.index(max(seen))]

    def draws(self, purpose: int) -> Draws:
        """Random numbers for what is said about the scene."""
        return Draws(*self.key, purpose)


_SPLIT_NUMBERS = {name: number for number, name in enumerate(SPLITS)}


def sample_scene(split: str, index: int, objects: tuple[int, int] = (1, 6)) -> Scene:
    """The scene of an index of a split, with objects[0] to objects[1] objects."""
    key = VERSION, _SPLIT_NUMBERS[split], index
    draws = Draws(*key, 0)
    pile = _Pile()
    count = objects[0] + draws.below(objects[1] - objects[0] + 1)
    for name in _class_names(draws, count, split == "unseen"):
        pile.add(name, draws)
    direction = draws.uniform(-0.95 * pi, -0.05 * pi)  # from above, as in most pictures
    return Scene(
        key=key,
        objects=tuple(pile.objects),
        visible=tuple(_part(points) for points in pile.seen),
        covers=frozenset(pile.covers),
        background=draw_background(draws),
        light=(0.75 * cos(direction), 0.75 * sin(direction)),
    )


def _class_names(draws: Draws, count: int, unseen: bool) -> list[str]:
    """Colour and shape of each object; if unseen, one or more of them are held out."""
    must = draws.below(count) if unseen else -1
    names: list[str] = []
    for i in range(count):
        if i == must or (unseen and draws.chance(0.5)):
            names.append(draws.choose(HELD_OUT))
            continue
        pool = _ALLOWED
        if names and draws.chance(0.4):  # share colour or shape: then there is something to count
            pool = _ALLOWED_WITH[draws.choose(draws.choose(names).split())]
        names.append(draws.choose(pool))
    return names


class _Pile:
    """Objects laid one onto the other, so that enough of each stays visible."""

    def __init__(self):
        self.objects: list[Object] = []
        self.reaches: list[float] = []
        self.seen: list[Array] = []  # which points of each object's `interior`
        self.covers: list[tuple[int, int]] = []

    def add(self, name: str, draws: Draws) -> None:
        """Lays an object of that class onto the pile, where there is room."""
        colour, shape = name.split()
        touch = bool(self.objects) and draws.chance(0.35)
        new, tries = self._draw(shape, colour, draws.choose(SIZES), draws), 0
        while not self._lay(new, touch):
            tries += 1
            touch = touch or tries > 8
            moved = _draw_place(new.radius * REACH[shape], draws)
            new = new._replace(x=moved[0], y=moved[1])
            if tries % 20 == 0:
                new = self._draw(shape, colour, "small", draws)

    def _draw(self, shape: str, colour: str, size: str, draws: Draws) -> Object:
        """An object whose description no other has; a small one where little room is left."""
        if sum([o.radius**2 for o in self.objects]) > _ROOM:
            size = "small"
        same = [o for o in self.objects if o.shape == shape and o.colour == colour]
        for other in (size, "small", "medium"):  # five others cannot take all textures of two
            taken = [o.texture for o in same if o.size == other]
            if len(taken) < len(TEXTURES):
                break
        texture = draws.choose([texture for texture in TEXTURES if texture not in taken])
        return _draw_object(shape, colour, other, texture, draws)

    def _lay(self, new: Object, touch: bool) -> bool:
        reach, near = new.reach, []
        for i, old in enumerate(self.objects):
            gap = hypot(new.x - old.x, new.y - old.y) - reach - self.reaches[i]
            if gap < 0.01 and not touch:
                return False
            if gap < 0:
                near.append(i)
        hidden = {i: _hides(new, self.objects[i]) for i in near}
        seen = {i: self.seen[i] & ~points for i, points in hidden.items()}
        if any(_part(points) < _SEEN for points in seen.values()):
            return False
        for i in near:
            self.seen[i] = seen[i]
            if _part(hidden[i]) > 0.1:
                self.covers.append((len(self.objects), i))
        self.objects.append(new)
        self.reaches.append(reach)
        self.seen.append(np.ones(len(interior(new.shape)[0]), bool))
        return True


def _part(points: Array) -> float:
    return np.count_nonzero(points) / len(points)


def _hides(front: Object, back: Object) -> Array:
    """Which points of `interior(back.shape)` lie under the front object: bool [n]."""
    u, v = interior(back.shape)
    c, s = cos(back.angle) * back.radius, sin(back.angle) * back.radius
    x, y = u * c - v * s + (back.x - front.x), u * s + v * c + (back.y - front.y)
    return OUTLINES[front.shape](*front.local(x, y)) <= 0


def _draw_object(shape: str, colour: str, size: str, texture: str, draws: Draws) -> Object:
    radius = draws.uniform(*RADIUS[size])
    x, y = _draw_place(radius * REACH[shape], draws)
    rgb = _draw_colour(colour, draws)
    other, part = ((248, 246, 240), 0.8) if draws.chance(0.5) else ((24, 22, 30), 0.7)
    return Object(
        shape=shape,
        colour=colour,
        size=size,
        texture=texture,
        x=x,
        y=y,
        radius=radius,
        angle=draws.uniform(-TURN, TURN),
        rgb=rgb,
        second=tuple([a + part * (b - a) for a, b in zip(rgb, other, strict=True)]),
        phase=draws.uniform(),
        direction=draws.uniform(0, pi),
        bulge=draws.uniform(0.06, 0.14),
        slant=(draws.uniform(-0.06, 0.06), draws.uniform(-0.06, 0.06)),
    )


def _draw_place(reach: float, draws: Draws) -> tuple[float, float]:
    """A centre for an object that lies wholly in the picture."""
    edge = reach + 0.005
    return draws.uniform(edge, 1 - edge), draws.uniform(edge, 1 - edge)


def _draw_colour(colour: str, draws: Draws) -> Rgb:
    hue, saturation, value = [m + draws.uniform(-h, h) for m, h in _HSV[colour]]
    red, green, blue = hsv_to_rgb(hue / 360 % 1, saturation, value)
    return 255 * red, 255 * green, 255 * blue
