"""What training sees of a picture: a random part of it, in other colours.

Letters: S side of the image, Z side of the second view.
"""

from dataclasses import dataclass, replace

import numpy as np

from vlx.data.augment import Box, Size, crop_and_resize, draw_box
from vlx.data.config import DataConfig
from vlx.data.picture_operations import PICTURE_OPERATIONS
from vlx.data.random_augment import AUGMENTATIONS, apply, draw_jitter


@dataclass(frozen=True)
class View:
    """A part of a picture, perhaps mirrored."""

    pixels: np.ndarray  # uint8 [H, W, 3], of the whole picture
    box: Box
    mirrored: bool

    def cut(self, size: Size, interpolation: str) -> np.ndarray:
        part = crop_and_resize(self.pixels, self.box, size, interpolation)
        return part[:, ::-1] if self.mirrored else part


def draw_view(pixels: np.ndarray, config: DataConfig, rng: np.random.Generator) -> View:
    """Drawn in this order: box, mirroring, colours."""
    c = config
    box = draw_box(*pixels.shape[:2], rng, c.crop_scale, c.crop_ratio)
    mirrored = c.flip and rng.random() < 0.5
    if c.jitter:
        pixels = apply(pixels, draw_jitter(rng, c.jitter), PICTURE_OPERATIONS)
    return View(pixels, box, mirrored)


def training_views(
    pixels: np.ndarray, size: Size, config: DataConfig, rng: np.random.Generator
) -> list[np.ndarray]:
    """A random view, uint8 [S, S, 3], and with `data.target_size` the same part as [Z, Z, 3].

    Both show the same box of the same picture, mirrored or not and with the same colours; only the
    first is augmented, by what is drawn last.
    """
    c, view = config, draw_view(pixels, config, rng)
    rest = [view.cut(c.target_size, c.target_interpolation)] if c.target_size else []
    if not c.augment:
        return [view.cut(size, c.interpolation), *rest]
    how = AUGMENTATIONS[c.augment]
    steps = how.draw(rng, c.augment_count, c.augment_level)
    if how.whole:
        whole = replace(view, pixels=apply(view.pixels, steps, how.operations))
        return [whole.cut(size, c.interpolation), *rest]
    return [apply(view.cut(size, c.interpolation), steps, how.operations), *rest]


def target_view(pixels: np.ndarray, config: DataConfig, rng: np.random.Generator) -> np.ndarray:
    """The second of `training_views` alone, uint8 [Z, Z, 3]."""
    return draw_view(pixels, config, rng).cut(config.target_size, config.target_interpolation)
