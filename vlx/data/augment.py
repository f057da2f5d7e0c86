"""Pixels to the square a model sees, resampled on 8 bits.

Filters are Pillow's, but for two of OpenCV's that are quicker: "area", the mean over what a new
pixel covers, and "linear", which mixes four neighbours and is not antialiased: for pictures that
shrink to no less than half.

A size is a number S, for a square, or a pair (height, width).
"""

from math import exp, log, sqrt

import cv2
import numpy as np
from PIL import Image

Size = int | tuple[int, int]
Box = tuple[int, int, int, int]  # top, left, height, width

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,  # of numbers that cannot be mixed
}
_QUICK = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}
_TRIES = 10  # then a central crop, as torchvision


def draw_box(
    height: int,
    width: int,
    rng: np.random.Generator,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Box:
    """A box within the image: area uniform in `scale`, width / height log-uniform in `ratio`."""
    for _ in range(_TRIES):
        area = height * width * rng.uniform(*scale)
        shape = exp(rng.uniform(log(ratio[0]), log(ratio[1])))
        w, h = round(sqrt(area * shape)), round(sqrt(area / shape))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    return _central_box(height, width, ratio)


def crop_and_resize(
    image: np.ndarray, box: Box, size: Size, interpolation: str = "bicubic"
) -> np.ndarray:
    """The box's pixels, and none around it, in the wanted size: uint8 [S, S, 3]."""
    top, left, h, w = box
    # Pillow's own resize(box=...) would look past the box's edge; official transforms do not.
    part = image[top : top + h, left : left + w]
    if interpolation in _QUICK and part.shape[-1] == 3:
        return _quick(part, size, interpolation)  # without Pillow, whose pictures are copies
    return _pixels(_resize(_picture(part), size, interpolation))


def evaluation_resize(
    image: np.ndarray,
    size: Size,
    mode: str = "shortest",
    interpolation: str = "bicubic",
    fill: int = 0,
    part: float = 1.0,
) -> np.ndarray:
    """The image in the wanted size without chance: uint8 [H, W, 1, 3 or 4] -> [S, S, 3].

    shortest: covers the square, the rest is cut off; with `part` below 1 it covers a square so much
    larger (papers: 224 / 256). squash: sides change independently.
    longest: fits into the square, the rest is `fill`. pixelbert: keeps its shape, about S on the
    shorter side, so that sizes differ and batches cannot be made of it.
    Colours become RGB after the resize, which weighs them by alpha where there is alpha.
    """
    if not isinstance(size, int) and size[0] == size[1]:
        size = size[0]  # as open_clip, whose rules for rectangles round otherwise
    if part < 1:
        larger = int(size / part) if isinstance(size, int) else tuple(int(x / part) for x in size)
        return _pixels(_central(_covering(_picture(image), larger, interpolation), size, fill))
    return _pixels(_MODES[mode](_picture(image), size, interpolation, fill))


def _shortest(image: Image.Image, size: Size, interpolation: str, fill: int) -> Image.Image:
    return _central(_covering(image, size, interpolation), size, fill)


def _covering(image: Image.Image, size: Size, interpolation: str) -> Image.Image:
    """The whole image as small as it still covers the size."""
    width, height = image.size
    if isinstance(size, int):
        short = min(width, height)
        w, h = (size if x == short else int(size * max(width, height) / short) for x in image.size)
    else:
        factor = min(height / size[0], width / size[1])
        w, h = round(width / factor), round(height / factor)
        if interpolation != "nearest":
            interpolation = "bicubic"  # open_clip knows no other for rectangles
    return _resize(image, (h, w), interpolation)


def _squash(image: Image.Image, size: Size, interpolation: str, fill: int) -> Image.Image:
    return _resize(image, size, interpolation)


def _longest(image: Image.Image, size: Size, interpolation: str, fill: int) -> Image.Image:
    width, height = image.size
    h, w = _pair(size)
    factor = max(height / h, width / w)
    inner = max(1, round(height / factor)), max(1, round(width / factor))
    return _central(_resize(image, inner, interpolation), size, fill)


def _pixelbert(image: Image.Image, size: Size, interpolation: str, fill: int) -> Image.Image:
    """Sides in whole patches of 32, the longer at most 1333 / 800 of the wanted shorter one."""
    factor = size / min(image.size)
    longest = int(1333 / 800 * size)
    sides = [side * factor for side in image.size]
    limit = min(1.0, longest / max(sides))
    width, height = (max(32, int(side * limit + 0.5) // 32 * 32) for side in sides)
    return _resize(image, (height, width), interpolation)


_MODES = {
    "shortest": _shortest,
    "squash": _squash,
    "longest": _longest,
    "pixelbert": _pixelbert,
}


def _central(image: Image.Image, size: Size, fill: int) -> Image.Image:
    """Cuts or pads each side to the wanted length, around the centre."""
    h, w = _pair(size)
    width, height = image.size
    if width < w or height < h:
        left, top = max(0, w - width) // 2, max(0, h - height) // 2
        colour = fill if image.mode == "L" else (fill,) * len(image.getbands())
        larger = Image.new(image.mode, (max(w, width), max(h, height)), colour)
        larger.paste(image, (left, top))
        image, (width, height) = larger, larger.size
    left, top = round((width - w) / 2), round((height - h) / 2)  # Python rounds half to even
    return image.crop((left, top, left + w, top + h))


def _central_box(height: int, width: int, ratio: tuple[float, float]) -> Box:
    """The largest central box whose width / height lies in `ratio`."""
    w, h = width, height
    if width / height < ratio[0]:
        h = max(1, round(width / ratio[0]))
    elif width / height > ratio[1]:
        w = max(1, round(height * ratio[1]))
    return (height - h) // 2, (width - w) // 2, h, w


def _resize(image: Image.Image, size: Size, interpolation: str) -> Image.Image:
    h, w = _pair(size)
    if image.size == (w, h):
        return image
    if interpolation in _QUICK:
        return Image.fromarray(_quick(np.asarray(image), size, interpolation))
    return image.resize((w, h), _FILTERS[interpolation])


def _quick(pixels: np.ndarray, size: Size, interpolation: str) -> np.ndarray:
    h, w = _pair(size)
    return cv2.resize(pixels, (w, h), interpolation=_QUICK[interpolation])


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image))


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)
