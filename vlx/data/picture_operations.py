"""The operations of RandAugment as Pillow does them, from a magnitude of 30 possible ones.

Those of `PICTURE_OPERATIONS` warp by the nearest pixel and show black from outside; some do less
the larger the magnitude. Those of `INCREASING_OPERATIONS` always do more; they are timm's, warp
bicubically and show ImageNet's mean from outside. All take and give uint8 [H, W, 3].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

MAGNITUDES = 30
SOLARIZED = 128  # where the upper half of the values begins, which SolarizeAdd treats otherwise
MEAN = (124, 116, 104)  # ImageNet's


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


def _affine(
    matrix: Callable[..., tuple], relative: bool = False, **how: Any
) -> Callable[[Image.Image, float], Image.Image]:
    """A warp by the coefficients that lead from a pixel to where it comes from.

    relative: they depend on the picture's width and height too.
    """

    def run(picture: Image.Image, value: float) -> Image.Image:
        coefficients = matrix(value, *picture.size) if relative else matrix(value)
        return picture.transform(picture.size, Image.Transform.AFFINE, coefficients, **how)

    return run


def _brighten_dark(picture: Image.Image, value: float) -> Image.Image:
    raised = [min(x + int(value), 255) if x < SOLARIZED else x for x in range(256)]
    return picture.point(raised * 3)


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

_SMOOTH = {"resample": Image.Resampling.BICUBIC, "fillcolor": MEAN}


def _away(kind: type) -> PictureOperation:
    """An enhancement by a factor that is more or less than 1."""
    return PictureOperation(lambda x, v: kind(x).enhance(1 + v), 0, 0.9, signed=True)


INCREASING_OPERATIONS = {
    "AutoContrast": PictureOperation(lambda x, _: ImageOps.autocontrast(x), 0, 1),
    "Equalize": PictureOperation(lambda x, _: ImageOps.equalize(x), 0, 1),
    "Invert": PictureOperation(lambda x, _: ImageOps.invert(x), 0, 1),
    "Rotate": PictureOperation(lambda x, v: x.rotate(v, **_SMOOTH), 0, 30, signed=True),
    # A bit at least: the release of the time left none at the highest level, a black picture.
    "Posterize": PictureOperation(lambda x, v: ImageOps.posterize(x, max(1, 4 - int(v))), 0, 4),
    "Solarize": PictureOperation(lambda x, v: ImageOps.solarize(x, 256 - int(v)), 0, 256),
    "SolarizeAdd": PictureOperation(_brighten_dark, 0, 110),
    "Color": _away(ImageEnhance.Color),
    "Contrast": _away(ImageEnhance.Contrast),
    "Brightness": _away(ImageEnhance.Brightness),
    "Sharpness": _away(ImageEnhance.Sharpness),
    "ShearX": PictureOperation(
        _affine(lambda v: (1, v, 0, 0, 1, 0), **_SMOOTH), 0, 0.3, signed=True
    ),
    "ShearY": PictureOperation(
        _affine(lambda v: (1, 0, 0, v, 1, 0), **_SMOOTH), 0, 0.3, signed=True
    ),
    "TranslateX": PictureOperation(
        _affine(lambda v, w, h: (1, 0, v * w, 0, 1, 0), relative=True, **_SMOOTH), 0, 0.45, True
    ),
    "TranslateY": PictureOperation(
        _affine(lambda v, w, h: (1, 0, 0, 0, 1, v * h), relative=True, **_SMOOTH), 0, 0.45, True
    ),
}
