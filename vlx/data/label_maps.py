"""Pictures and the classes of their pixels, seen alike.

A record's label map is uint8 [H, W], as files have it: a class, or NO_CLASS. An example's is int32,
and negative where there is no class.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from vlx.data.augment import Size, crop_and_resize, evaluation_resize
from vlx.data.picture_operations import MEAN
from vlx.errors import UserError

NO_CLASS = 255
TRIES = 10  # crops that are drawn for one without a class that fills it


@dataclass(frozen=True)
class LabelMapConfig:
    """What training sees of a picture with a label map: a crop at a random scale, colours changed.

    The published values for ADE20K.
    """

    scale: tuple[float, float] = (0.5, 2.0)  # of the shorter side, in sides of what the model sees
    longest: float = 4.0  # the longer side is at most so many times the wanted shorter one
    most: float = 0.75  # of a crop's labelled pixels that one class may have
    distort: bool = True  # brightness, contrast, saturation and hue

    def __post_init__(self):
        if not 0 < self.scale[0] <= self.scale[1] < float("inf"):
            raise UserError(
                f"data.label_map.scale={self.scale} must be two positive numbers in order."
            )
        if self.longest < 1:
            raise UserError(f"data.label_map.longest={self.longest} must be 1 or more.")
        if not 0 < self.most <= 1:
            raise UserError(f"data.label_map.most={self.most} must be above 0, and at most 1.")


def training_pair(
    pixels: np.ndarray,
    labels: np.ndarray,
    size: Size,
    config: LabelMapConfig,
    mirror: bool,
    interpolation: str,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """A crop of a picture and of its label map: uint8 [S, S, 3], int32 [S, S].

    Drawn in this order: scale, crop, mirroring (half of all, with `mirror`), colours. What a small
    picture does not fill is grey and has no class.
    """
    check_shapes(pixels, labels)
    pair = size if isinstance(size, tuple) else (size, size)
    short = min(pair) * rng.uniform(*config.scale)
    scaled = scaled_size(pixels.shape[:2], short, config.longest)
    pixels = crop_and_resize(pixels, (0, 0, *pixels.shape[:2]), scaled, interpolation)
    labels = nearest(labels, scaled)
    for _ in range(TRIES):
        rows, columns = (_part(old, new, rng) for old, new in zip(scaled, pair, strict=True))
        if config.most == 1 or _is_mixed(labels[rows, columns], config.most):
            break
    pixels, labels = pixels[rows, columns], labels[rows, columns]
    if mirror and rng.random() < 0.5:
        pixels, labels = pixels[:, ::-1], labels[:, ::-1]
    if config.distort:
        pixels = distort(pixels, rng)
    whole = np.empty((*pair, 3), np.uint8)
    whole[:], no_class = MEAN, np.full(pair, NO_CLASS, np.uint8)
    whole[: len(pixels), : pixels.shape[1]] = pixels
    no_class[: len(labels), : labels.shape[1]] = labels
    return whole, signed(no_class)


def evaluation_map(labels: np.ndarray, size: Size, mode: str, part: float) -> np.ndarray:
    """The label map as `evaluation_resize` shows the picture: uint8 [H, W] -> int32 [S, S]."""
    seen = evaluation_resize(labels[..., None], size, mode, "nearest", fill=NO_CLASS, part=part)
    return signed(seen[..., 0])


def signed(labels: np.ndarray) -> np.ndarray:
    """int32, with -1 for NO_CLASS."""
    return np.where(labels == NO_CLASS, -1, labels.astype(np.int32)).astype(np.int32)


def scaled_size(
    old: tuple[int, int], short: float, longest: float = float("inf")
) -> tuple[int, int]:
    """Height and width of a picture of the same form whose shorter side is `short`.

    It is less where the longer one would be more than `longest` times that.
    """
    factor = min(short / min(old), longest * short / max(old))
    return int(old[0] * factor + 0.5), int(old[1] * factor + 0.5)


def nearest(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map of another size, each place as the nearest old one."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(labels.shape, size, strict=True)
    )
    return labels[rows[:, None], columns]


def distort(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other colours, each change with probability 1/2: those of SSD (arXiv 1512.02325).

    Brightness by at most 32 of 255, contrast and saturation by a factor of 0.5 to 1.5, hue by at
    most a tenth of its circle; contrast comes before or after the last two.
    """

    def changes() -> bool:
        return rng.random() < 0.5

    def contrast(pixels):
        return _clipped(pixels * np.float32(rng.uniform(0.5, 1.5))) if changes() else pixels

    if changes():
        pixels = _clipped(pixels + np.float32(rng.uniform(-32, 32)))
    early = changes()
    pixels = contrast(pixels) if early else pixels
    factor = rng.uniform(0.5, 1.5) if changes() else 1.0
    turn = rng.uniform(-0.1, 0.1) if changes() else 0.0
    if factor != 1 or turn:
        pixels = _coloured(pixels, factor, turn)
    return pixels if early else contrast(pixels)


def _coloured(pixels: np.ndarray, factor: float, turn: float) -> np.ndarray:
    """Pixels of another saturation, and with the hue turned by a part of the circle."""
    hsv = np.array(Image.fromarray(np.ascontiguousarray(pixels)).convert("HSV"))
    hsv[..., 0] += np.uint8(round(turn * 256) % 256)  # which begins again at red
    hsv[..., 1] = _clipped(hsv[..., 1] * np.float32(factor))
    bands = [Image.fromarray(band) for band in np.moveaxis(hsv, 2, 0)]
    return np.asarray(Image.merge("HSV", bands).convert("RGB"))


def _clipped(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


def _is_mixed(labels: np.ndarray, most: float) -> bool:
    """Whether no class has more than its share of the labelled pixels, or all of them."""
    counts = np.bincount(labels.ravel(), minlength=NO_CLASS + 1)[:NO_CLASS]
    return counts.max() < most * counts.sum()


def _part(old: int, new: int, rng: np.random.Generator) -> slice:
    """A random piece of a side, all of it where it is shorter."""
    start = int(rng.integers(max(old - new, 0) + 1))
    return slice(start, start + new)


def check_shapes(pixels: np.ndarray, labels: np.ndarray) -> None:
    """Refuses a map of another size than its picture."""
    if pixels.shape[:2] != labels.shape:
        raise UserError(
            f"the label map has {labels.shape[1]} x {labels.shape[0]} pixels, its picture "
            f"{pixels.shape[1]} x {pixels.shape[0]}; they must be the same."
        )
