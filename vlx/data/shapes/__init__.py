"""The built-in procedural world: pictures of shapes with exact truths, and no files."""

from vlx.data.shapes.scene import Object, Scene, sample_scene
from vlx.data.shapes.source import FIELDS, MAP_CLASSES, ShapesPairSource, ShapesSource
from vlx.data.shapes.texts import ShapesTextSource
from vlx.data.shapes.vocabulary import (
    ANSWERS,
    CLASS_NAMES,
    COLOURS,
    HELD_OUT,
    SHAPES,
    SIZES,
    SPLITS,
    TEXTURES,
)

__all__ = [
    "ANSWERS",
    "CLASS_NAMES",
    "COLOURS",
    "FIELDS",
    "HELD_OUT",
    "MAP_CLASSES",
    "SHAPES",
    "SIZES",
    "SPLITS",
    "TEXTURES",
    "Object",
    "Scene",
    "ShapesPairSource",
    "ShapesSource",
    "ShapesTextSource",
    "sample_scene",
]
