"""The operations of RandAugment as Pillow does them, from a magnitude of 30 possible ones.

Warps take the nearest pixel and show black from outside. All take and give uint8 [H, W, 3].
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

MAGNITUDES = 30
SOLARIZED = 128  # from this value on, after SolarizeAdd has added its own


@dataclass(frozen=True)
class PictureOperation:
    """What is done with a value between `least` and `most`, if `signed` of either sign."""

    run: Callable[[Image.Image, float], Image.Image]
    least: float
    most: float
    signed: bool = False

    def amount(self, magnitude: float) -> float:
        return magnitude / MAGNITUDES * (self.most - self.least) + self.least

    def apply(self, image: np.ndarray, value: float) -> np.ndarray:
        return np.asarray(self.run(Image.fromarray(np.ascontiguousarray(image)), value))


def enhance(kind: type) -> Callable[[Image.Image, float], Image.Image]:
    """A class of `PIL.ImageEnhance` as a function of picture and factor."""
    return lambda picture, factor: kind(picture).enhance(factor)


def _affine(matrix: Callable[[float], tuple]) -> Callable[[Image.Image, float], Image.Image]:
    """A warp by the coefficients that lead from a pixel to where it comes from."""

    def run(picture: Image.Image, value: float) -> Image.Image:
        return picture.transform(picture.size, Image.Transform.AFFINE, matrix(value))

    return run


def _solarize_add(picture: Image.Image, value: float) -> Image.Image:
    raised = [min(x + int(value), 255) for x in range(256)]
    return ImageOps.solarize(picture.point(raised * 3), SOLARIZED)


PICTURE_OPERATIONS = {
    "AutoContrast": PictureOperation(lambda x, _: ImageOps.autocontrast(x), 0, 1),
    "Equalize": PictureOperation(lambda x, _: ImageOps.equalize(x), 0, 1),
    "Rotate": PictureOperation(lambda x, v: x.rotate(v), 0, 30, signed=True),
    "Posterize": PictureOperation(lambda x, v: ImageOps.posterize(x, max(1, int(v))), 0, 4),
    "Solarize": PictureOperation(ImageOps.solarize, 0, 256),
    "SolarizeAdd": PictureOperation(_solarize_add, 0, 110),
    "Color": PictureOperation(enhance(ImageEnhance.Color), 0.1, 1.9),
    "Contrast": PictureOperation(enhance(ImageEnhance.Contrast), 0.1, 1.9),
    "Brightness": PictureOperation(enhance(ImageEnhance.Brightness), 0.1, 1.9),
    "Sharpness": PictureOperation(enhance(ImageEnhance.Sharpness), 0.1, 1.9),
    "ShearX": PictureOperation(_affine(lambda v: (1, v, 0, 0, 1, 0)), 0, 0.3, signed=True),
    "ShearY": PictureOperation(_affine(lambda v: (1, 0, 0, v, 1, 0)), 0, 0.3, signed=True),
    "TranslateX": PictureOperation(_affine(lambda v: (1, 0, v, 0, 1, 0)), 0, 100, signed=True),
    "TranslateY": PictureOperation(_affine(lambda v: (1, 0, 0, 0, 1, v)), 0, 100, signed=True),
}
