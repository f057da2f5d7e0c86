"""The operations of RandomAugment on pixels, with the arithmetic of a widespread implementation.

It is OpenCV's, and models in papers were trained with it, oddities included:
- its `AutoContrast` negates the darkest value in 8 bits. Only a channel whose darkest value is 0 is
  stretched; any other becomes white.
- its `Sharpness` does not clip: values below 0 or above 255 wrap around.
- `colour` and `contrast` weigh red as if it were blue.
`OPERATIONS` stretch and clip; `OVERFLOWING` are those that published fine-tunings saw.

All take and give uint8 [H, W, 3]; values are cut off after the point unless said otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from vlx.data.warp import rotation, shear, shift, warp

FILL = (128, 128, 128)  # what warps show from outside the image
LEVELS = 10  # a level is a part of so many
_LUMA = np.array([0.114, 0.587, 0.299])  # of the first, second and third channel
_VALUES = np.arange(256)


def identity(image: np.ndarray) -> np.ndarray:
    return image


def auto_contrast(image: np.ndarray) -> np.ndarray:
    """Each channel stretched to 0..255."""
    return _by_histogram(image, partial(_stretch, negate=lambda low: -low))


def overflowing_contrast(image: np.ndarray) -> np.ndarray:
    """Each channel stretched to 0..255 if its darkest value is 0, else white; see above."""
    return _by_histogram(image, partial(_stretch, negate=lambda low: -low % 256))


def equalize(image: np.ndarray) -> np.ndarray:
    """Each channel with its values spread so that all are about equally frequent."""

    def table(counts: np.ndarray) -> np.ndarray:
        used = counts[counts > 0]
        step = used[:-1].sum() // 255
        if step == 0:
            return _VALUES
        below = np.cumsum(counts) - counts
        return ((step // 2 + below) // step).clip(0, 255)

    return _by_histogram(image, table)


def brightness(image: np.ndarray, factor: float) -> np.ndarray:
    return _mapped(image, _cut(_VALUES.astype(np.float32) * np.float32(factor)))


def sharpness(image: np.ndarray, factor: float) -> np.ndarray:
    """Away from, or towards, the smoothed image; the outermost pixels stay."""
    return _with_inner(image, _cut(_sharpened(image, factor)))


def overflowing_sharpness(image: np.ndarray, factor: float) -> np.ndarray:
    """As `sharpness`, but values wrap around; see above."""
    return _with_inner(image, _sharpened(image, factor).astype(np.int32).astype(np.uint8))


def _sharpened(image: np.ndarray, factor: float) -> np.ndarray:
    """All but the outermost pixels, not yet rounded: float32 [H - 2, W - 2, 3]."""
    inner = image[1:-1, 1:-1]
    rows = image.astype(np.uint16)
    rows = rows[:-2] + rows[1:-1] + rows[2:]
    total = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * inner.astype(np.uint16)
    smooth = ((2 * total + 13) // 26).astype(np.float32)  # total / 13, rounded
    return smooth + np.float32(factor) * (inner - smooth)


def colour(image: np.ndarray, factor: float) -> np.ndarray:
    """Away from, or towards, its grey, in float32, whose rounding shows after the cut."""
    grey = _LUMA[:, None]
    mix = (np.eye(3) - grey).astype(np.float32) * np.float32(factor) + grey.astype(np.float32)
    return _cut(image.astype(np.float32) @ mix)


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Away from, or towards, the mean grey."""
    mean = image.mean(axis=(0, 1)) @ _LUMA
    return _mapped(image, _cut((_VALUES - mean) * factor + mean))


def solarize(image: np.ndarray, threshold: int) -> np.ndarray:
    """Values from the threshold on are inverted."""
    return _mapped(image, np.where(threshold > _VALUES, _VALUES, 255 - _VALUES))


def posterize(image: np.ndarray, bits: int) -> np.ndarray:
    """Only the highest bits stay."""
    return image & np.uint8(256 - (1 << (8 - bits)))


def shear_x(image: np.ndarray, factor: float) -> np.ndarray:
    return warp(image, shear(factor, 0.0), FILL)


def shear_y(image: np.ndarray, factor: float) -> np.ndarray:
    return warp(image, shear(0.0, factor), FILL)


def translate_x(image: np.ndarray, offset: float) -> np.ndarray:
    """To the left, in pixels."""
    return warp(image, shift(-offset, 0.0), FILL)


def translate_y(image: np.ndarray, offset: float) -> np.ndarray:
    """Upwards, in pixels."""
    return warp(image, shift(0.0, -offset), FILL)


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Counter-clockwise."""
    return warp(image, rotation(degrees, *image.shape[:2]), FILL)


@dataclass(frozen=True)
class Operation:
    """What is done, and how much of it at which level; no `amount` means that there is none."""

    apply: Callable[..., np.ndarray]
    amount: Callable[[float], float] | None = None
    sign: int = 0  # 1: negated above a half, -1: negated below a half, 0: never


def _enhance(level: float) -> float:
    return 0.1 + 1.8 * level / LEVELS


def _shear(level: float) -> float:
    return 0.3 * level / LEVELS


def _pixels(level: float) -> float:
    return 10.0 * level / LEVELS


OPERATIONS = {
    "Identity": Operation(identity),
    "AutoContrast": Operation(auto_contrast),
    "Equalize": Operation(equalize),
    "Brightness": Operation(brightness, _enhance),
    "Sharpness": Operation(sharpness, _enhance),
    "ShearX": Operation(shear_x, _shear, sign=1),
    "ShearY": Operation(shear_y, _shear, sign=1),
    "TranslateX": Operation(translate_x, _pixels, sign=1),
    "TranslateY": Operation(translate_y, _pixels, sign=1),
    "Rotate": Operation(rotate, lambda level: 30.0 * level / LEVELS, sign=-1),
    "Solarize": Operation(solarize, lambda level: int(256 * level / LEVELS)),
    "Posterize": Operation(posterize, lambda level: int(4 * level / LEVELS)),
    "Color": Operation(colour, _enhance),
    "Contrast": Operation(contrast, _enhance),
}


OVERFLOWING = OPERATIONS | {
    "AutoContrast": Operation(overflowing_contrast),
    "Sharpness": Operation(overflowing_sharpness, _enhance),
}


def _stretch(counts: np.ndarray, negate: Callable[[int], int]) -> np.ndarray:
    """Of a histogram [256] the table that leads from its darkest and lightest value to 0 and 255.

    The darkest is subtracted as what `negate` makes of it.
    """
    seen = np.flatnonzero(counts)
    low, high = seen[0], seen[-1]
    if low == high:
        return _VALUES
    scale = 255 / (high - low)
    return _cut(_VALUES * scale + scale * negate(low))


def _with_inner(image: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The image with all but its outermost pixels replaced."""
    result = image.copy()
    result[1:-1, 1:-1] = inner
    return result


def _cut(values: np.ndarray) -> np.ndarray:
    return values.clip(0, 255).astype(np.uint8)


def _mapped(image: np.ndarray, *tables: np.ndarray) -> np.ndarray:
    """Every value replaced by its entry [256] in the channel's table, or in the only one."""
    entries = np.concatenate(tables * (3 // len(tables))).astype(int).tolist()
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).point(entries))


def _by_histogram(image: np.ndarray, table: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Every channel mapped by what `table` makes of its histogram [256]."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    counts = np.array(picture.histogram()).reshape(3, 256)
    return _mapped(image, *map(table, counts))
