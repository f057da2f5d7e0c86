"""The world as random-access sources: of pictures, and of pairs of pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from operator import index as as_index
from typing import Any

import numpy as np

from vlx.data.choose import check
from vlx.data.shapes import maps, render
from vlx.data.shapes.captions import write_captions
from vlx.data.shapes.pairs import write_pair_statements
from vlx.data.shapes.phrases import write_phrases
from vlx.data.shapes.questions import write_questions, write_statements
from vlx.data.shapes.scene import Scene, sample_scene
from vlx.data.shapes.vocabulary import CLASS_NAMES, SHAPES, SPLITS
from vlx.errors import UserError

MAP_CLASSES = ("background", *SHAPES)
SMALLEST = 32  # pixels; a small ring is a ring no longer in a smaller picture

_CAPTIONS, _QUESTIONS, _STATEMENTS, _PHRASES, _PAIR = range(1, 6)  # purposes of random numbers


@dataclass(frozen=True)
class ShapesSource:
    """Pictures of a split, drawn `size` wide and high, with the wanted fields of `FIELDS`."""

    split: str = "train"
    size: int = 64
    objects: tuple[int, int] = (1, 6)  # fewest and most
    fields: tuple[str, ...] = ("image", "captions", "label")
    length: int | None = None  # records; None: all that the split has
    class_names: tuple[str, ...] = CLASS_NAMES  # of labels; MAP_CLASSES are those of label maps

    pictures_each = 1  # of a record

    def __post_init__(self):
        _check(self)

    def __len__(self) -> int:
        return _length(self)

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = _position(self, index)
        view = _View(self.scene(index), self.size)
        record = {name: FIELDS[name](view) for name in self.fields}
        return {**record, "id": f"shapes/{self.split}/{index}"}

    def captions(self, index: int) -> tuple[str, ...]:
        """The captions alone, without drawing."""
        return FIELDS["captions"](_View(self.scene(index), self.size))

    def scene(self, index: int) -> Scene:
        """What a record shows."""
        return sample_scene(self.split, _position(self, index), self.objects)


@dataclass(frozen=True)
class ShapesPairSource:
    """Two pictures, `left` and `right`, and statements about the pair."""

    split: str = "train"
    size: int = 64
    objects: tuple[int, int] = (1, 6)
    fields: tuple[str, ...] = ("image",)  # of each picture
    length: int | None = None

    pictures_each = 2

    def __post_init__(self):
        _check(self)

    def __len__(self) -> int:
        return _length(self)

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = _position(self, index)
        pictures = ShapesSource(self.split, self.size, self.objects, self.fields)
        left, right = 2 * index, 2 * index + 1
        scenes = pictures.scene(left), pictures.scene(right)
        return {
            "left": pictures[left],
            "right": pictures[right],
            "statements": write_pair_statements(scenes, scenes[0].draws(_PAIR)),
            "id": f"shapes/{self.split}/pair/{index}",
        }


class _View:
    """A scene seen at a size; what several fields need is made once, and only if needed."""

    def __init__(self, scene: Scene, size: int):
        self.scene, self.size = scene, size

    @cached_property
    def patches(self) -> list[render.Patch]:
        return [render.find_patch(o, self.size) for o in self.scene.objects]

    @cached_property
    def instances(self) -> np.ndarray:
        return maps.draw_instances(self.patches, self.size)

    @cached_property
    def boxes(self) -> np.ndarray:
        return maps.find_boxes(self.instances, len(self.scene.objects))


def _phrases(view: _View) -> tuple[tuple[str, np.ndarray], ...]:
    phrases = write_phrases(view.scene, view.scene.draws(_PHRASES))
    return tuple((text, view.boxes[list(indices)]) for text, indices in phrases)


def _classes(view: _View) -> np.ndarray:
    return np.array([SHAPES.index(o.shape) for o in view.scene.objects], np.int32)


# Letters: S side of the picture, N objects, n objects that a phrase means.
FIELDS: dict[str, Callable[[_View], Any]] = {
    # uint8 [S, S, 3]
    "image": lambda v: render.draw_image(v.scene, v.patches, v.size),
    # five str
    "captions": lambda v: write_captions(v.scene, v.scene.draws(_CAPTIONS)),
    # int: colour and shape of the most prominent object, in CLASS_NAMES
    "label": lambda v: CLASS_NAMES.index(v.scene.prominent.class_name),
    # (question, answer) pairs, answers from ANSWERS
    "questions": lambda v: write_questions(v.scene, v.scene.draws(_QUESTIONS)),
    # (text, bool) pairs
    "statements": lambda v: write_statements(v.scene, v.scene.draws(_STATEMENTS)),
    # (text, float32 [n, 4]) pairs
    "phrases": _phrases,
    # float32 [N, 4]: left, top, right, bottom of what is seen, as parts of the picture
    "boxes": lambda v: v.boxes,
    # int32 [N]: shape, in SHAPES
    "classes": _classes,
    # uint8 [S, S]: 0 background, k object k - 1, back to front
    "instances": lambda v: v.instances,
    # uint8 [S, S]: 0 background, 1 + shape
    "label_map": lambda v: maps.draw_semantic(v.scene, v.instances),
    # float32 [S, S]: picture widths from the camera
    "depth": lambda v: maps.draw_depth(v.scene, v.patches, v.instances),
    # float32 [S, S, 3]: unit length; right, down, towards the camera
    "normals": lambda v: maps.draw_normals(v.scene, v.patches, v.instances),
    # uint8 [S, S]: 1 at the outlines of what is seen
    "edges": lambda v: maps.draw_edges(v.instances),
}


def _check(source: ShapesSource | ShapesPairSource) -> None:
    """Raises unless all arguments can be served."""
    check(source.split, SPLITS, "shapes: split")
    for name in source.fields:
        check(name, FIELDS, "shapes: field")
    if source.size < SMALLEST:
        raise UserError(
            f"shapes: size={source.size} is too small to tell objects apart; "
            f"use {SMALLEST} pixels or more."
        )
    if len(source.objects) != 2 or not 1 <= source.objects[0] <= source.objects[1] <= 6:
        raise UserError(
            f"shapes: objects={tuple(source.objects)} must be the fewest and the most objects, "
            "from 1 to 6."
        )
    if source.length is not None and not 1 <= source.length <= _available(source):
        raise UserError(
            f"shapes: length={source.length} must be from 1 to {_available(source)}, "
            f"what split {source.split!r} has."
        )


def _available(source: ShapesSource | ShapesPairSource) -> int:
    return SPLITS[source.split] // source.pictures_each


def _length(source: ShapesSource | ShapesPairSource) -> int:
    return _available(source) if source.length is None else source.length


def _position(source: ShapesSource | ShapesPairSource, index: int) -> int:
    """The index as a number from 0; negative ones count from the end, as in a list."""
    position = as_index(index)
    position += len(source) if position < 0 else 0
    if not 0 <= position < len(source):
        raise IndexError(f"shapes: record {index} of {len(source)}")
    return position
