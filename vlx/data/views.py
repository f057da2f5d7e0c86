"""What training sees of a picture: a random part of it, in other colours.

Letters: S side of the image, Z side of the second view.
"""

import numpy as np

from vlx.data.augment import Size, crop_and_resize, draw_box
from vlx.data.config import DataConfig
from vlx.data.picture_operations import PICTURE_OPERATIONS
from vlx.data.random_augment import AUGMENTATIONS, apply, draw_jitter


def training_views(
    pixels: np.ndarray, size: Size, config: DataConfig, rng: np.random.Generator
) -> list[np.ndarray]:
    """A random view, uint8 [S, S, 3], and with `data.target_size` the same part as [Z, Z, 3].

    Both show the same box of the same picture, mirrored or not and with the same colours; only the
    first is augmented. Drawn in this order: box, mirroring, colours, augmentation.
    """
    c = config
    box = draw_box(*pixels.shape[:2], rng, c.crop_scale, c.crop_ratio)
    mirrored = c.flip and rng.random() < 0.5
    if c.jitter:
        pixels = apply(pixels, draw_jitter(rng, c.jitter), PICTURE_OPERATIONS)

    def cut(whole: np.ndarray, size: Size, interpolation: str) -> np.ndarray:
        part = crop_and_resize(whole, box, size, interpolation)
        return part[:, ::-1] if mirrored else part

    views = [cut(pixels, c.target_size, c.target_interpolation)] if c.target_size else []
    if not c.augment:
        return [cut(pixels, size, c.interpolation), *views]
    how = AUGMENTATIONS[c.augment]
    steps = how.draw(rng, c.augment_count, c.augment_level)
    if how.whole:
        return [cut(apply(pixels, steps, how.operations), size, c.interpolation), *views]
    return [apply(cut(pixels, size, c.interpolation), steps, how.operations), *views]
