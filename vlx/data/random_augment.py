"""Random operations on a picture: which are drawn, and how much of each.

A policy draws names and values, `apply` does what was drawn. Policies ask a generator for nothing
but `choice`, `random`, `normal`, `uniform` and `permutation`, so NumPy's old generator replays old
draws.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vlx.data.operations import LEVELS, OPERATIONS, OVERFLOWING, Operation
from vlx.data.picture_operations import (
    INCREASING_OPERATIONS,
    MAGNITUDES,
    PICTURE_OPERATIONS,
    PictureOperation,
)

Step = tuple[str, float] | tuple[str]  # an operation's name, and its value if it has one

POOL = ("Identity", "AutoContrast", "Equalize", "Brightness", "Sharpness",
        "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")  # fmt: skip
KEPT = 0.5  # of the operations that are drawn
SPREAD = 0.5  # standard deviation of levels, where they are drawn


def draw_random_augment(rng: np.random.Generator, count: int, level: float) -> list[Step]:
    """`count` operations of `POOL`, each kept with probability 1/2, at a level of 10."""
    steps = []
    for number in rng.choice(len(POOL), count):
        operation = OPERATIONS[POOL[number]]
        if rng.random() > KEPT:
            continue
        value = (operation.amount(level),) if operation.amount else ()
        if operation.sign and operation.sign * (rng.random() - 0.5) > 0:
            value = (-value[0],)
        steps.append((POOL[number], *value))
    return steps


def draw_picture_augment(rng: np.random.Generator, count: int, magnitude: float) -> list[Step]:
    """`count` of Pillow's operations, all of them done, at a magnitude of 30."""
    steps = []
    for number in rng.choice(len(PICTURE_OPERATIONS), count):
        name, operation = list(PICTURE_OPERATIONS.items())[number]
        value = operation.amount(magnitude)
        steps.append((name, -value if operation.signed and rng.random() < 0.5 else value))
    return steps


def draw_increasing_augment(rng: np.random.Generator, count: int, level: float) -> list[Step]:
    """`count` operations that grow with their level, each kept with probability 1/2.

    The level, of 10, is drawn around the given one. It is timm's `rand-m9-mstd0.5-inc1` at level 9.
    """
    steps = []
    for number in rng.choice(len(INCREASING_OPERATIONS), count):
        name, operation = list(INCREASING_OPERATIONS.items())[number]
        if rng.random() > KEPT:
            continue
        drawn = min(max(rng.normal(level, SPREAD), 0.0), LEVELS)
        value = operation.amount(drawn * MAGNITUDES / LEVELS)
        steps.append((name, -value if operation.signed and rng.random() > 0.5 else value))
    return steps


def draw_jitter(rng: np.random.Generator, strength: float) -> list[Step]:
    """Brightness, contrast and saturation in any order, for `PICTURE_OPERATIONS`.

    Factors are uniform within `strength` of 1, as torchvision draws them.
    """
    order = rng.permutation(("Brightness", "Contrast", "Color"))
    factors = rng.uniform(max(0.0, 1 - strength), 1 + strength, len(order))
    return [(str(name), float(factor)) for name, factor in zip(order, factors, strict=True)]


def apply(
    image: np.ndarray,
    steps: list[Step],
    operations: Mapping[str, Operation | PictureOperation],
) -> np.ndarray:
    """The image after all steps: uint8 [H, W, 3]."""
    for name, *value in steps:
        image = operations[name].apply(image, *value)
    return image


@dataclass(frozen=True)
class Augmentation:
    """A policy with its operations, on the cropped picture or, before that, on the whole one."""

    draw: Callable[[np.random.Generator, int, float], list[Step]]
    operations: Mapping[str, Operation | PictureOperation]
    levels: int  # the highest there is
    whole: bool


AUGMENTATIONS = {
    "randaugment": Augmentation(draw_random_augment, OPERATIONS, LEVELS, whole=False),
    "randaugment_overflowing": Augmentation(draw_random_augment, OVERFLOWING, LEVELS, whole=False),
    "randaugment_increasing": Augmentation(
        draw_increasing_augment, INCREASING_OPERATIONS, LEVELS, whole=False
    ),
    "pixelbert": Augmentation(draw_picture_augment, PICTURE_OPERATIONS, MAGNITUDES, whole=True),
}
