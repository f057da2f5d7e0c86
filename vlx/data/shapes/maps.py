"""Dense truths of a scene: who covers a pixel, how far it is, and where its surface faces.

Objects are domes on slanted plates, in front of each other in steps; what lies behind them is a
slightly slanted plane. The camera looks at them straight and in parallel rays.

Letters: S side of the picture, N objects.
"""

import numpy as np

from vlx.data.shapes.background import centres
from vlx.data.shapes.render import Patch
from vlx.data.shapes.scene import Object, Scene
from vlx.data.shapes.vocabulary import SHAPES

Array = np.ndarray

FAR = 1.0  # depth of the background's middle, in picture widths from the camera
_FIRST, _STEP = 0.85, 0.1  # depth of the object at the back, and from one to the next
_LEAN = 0.05  # slant of the background away from the light


def draw_instances(patches: list[Patch], size: int) -> Array:
    """Which object each pixel's centre shows: uint8 [S, S]; 0 is the background, k object k - 1."""
    instances = np.zeros((size, size), np.uint8)
    for k, patch in enumerate(patches, start=1):
        instances[patch.rows, patch.columns][patch.distance <= 0] = k
    return instances


def find_boxes(instances: Array, count: int) -> Array:
    """The extents of each object's visible pixels: float32 [N, 4], left, top, right, bottom."""
    size = len(instances)
    boxes = np.zeros((count, 4), np.float32)
    for k in range(count):
        seen = instances == k + 1
        columns, rows = np.flatnonzero(seen.any(0)), np.flatnonzero(seen.any(1))
        if len(rows):
            boxes[k] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes / np.float32(size)


def draw_semantic(scene: Scene, instances: Array) -> Array:
    """Shape of what is seen: uint8 [S, S]; 0 is the background, 1 + c class c of `SHAPES`."""
    classes = [0, *(1 + SHAPES.index(o.shape) for o in scene.objects)]
    return np.array(classes, np.uint8)[instances]


def draw_edges(instances: Array) -> Array:
    """1 where the pixel to the right or below shows another object: uint8 [S, S]."""
    edges = np.zeros_like(instances)
    edges[:, :-1] |= instances[:, 1:] != instances[:, :-1]
    edges[:-1] |= instances[1:] != instances[:-1]
    return edges


def draw_depth(scene: Scene, patches: list[Patch], instances: Array) -> Array:
    """Distance from the camera's plane in picture widths: float32 [S, S], smaller is nearer."""
    x = centres(len(instances)) - 0.5
    lean = _background_slope(scene)
    depth = FAR - (x * lean[0] + (x * lean[1])[:, None])
    for k, (o, patch) in enumerate(zip(scene.objects, patches, strict=True), start=1):
        seen = instances[patch.rows, patch.columns] == k
        nearest = _FIRST - _STEP * (k - 1)
        surface = nearest - _height(o, patch)
        np.copyto(depth[patch.rows, patch.columns], surface, where=seen)
    return depth


def draw_normals(scene: Scene, patches: list[Patch], instances: Array) -> Array:
    """Where surfaces face: float32 [S, S, 3], unit length; right, down and towards the camera."""
    slope = np.empty((2, *instances.shape), np.float32)
    slope[0], slope[1] = _background_slope(scene)
    for k, (o, patch) in enumerate(zip(scene.objects, patches, strict=True), start=1):
        seen = instances[patch.rows, patch.columns] == k
        for plane, values in zip(slope, _slope(o, patch), strict=True):
            np.copyto(plane[patch.rows, patch.columns], values, where=seen)
    normals = np.empty((*instances.shape, 3), np.float32)
    normals[..., 2] = 1 / np.sqrt(1 + slope[0] ** 2 + slope[1] ** 2)
    normals[..., 0] = -slope[0] * normals[..., 2]
    normals[..., 1] = -slope[1] * normals[..., 2]
    return normals


def _height(o: Object, patch: Patch) -> Array:
    """Of the object's surface over the middle of its plate: [h, w], picture widths."""
    x, y = patch.x, patch.y[:, None]
    dome = o.bulge * (o.radius - (x * x + y * y) / o.radius)
    return dome + o.slant[0] * x + o.slant[1] * y


def _slope(o: Object, patch: Patch) -> tuple[Array, Array]:
    """How the height grows to the right, [1, w], and down, [h, 1]."""
    curve = 2 * o.bulge / o.radius
    return o.slant[0] - curve * patch.x[None, :], o.slant[1] - curve * patch.y[:, None]


def _background_slope(scene: Scene) -> tuple[float, float]:
    return _LEAN * scene.light[0], _LEAN * scene.light[1]
