"""Affine warps in whole numbers, with the pixels that OpenCV's bilinear `warpAffine` gives.

Source coordinates are multiples of 1/32 pixel, rounded row and column apart, and the four pixels
around them are blended exactly. Letters: H height, W width.
"""

import numpy as np

Matrix = tuple[tuple[float, float, float], tuple[float, float, float]]

FRACTION = 5  # bits of a coordinate after the point
_FINE = 10  # bits of a coordinate's two summands, before they are added and rounded
_BLOCK = 1 << 13  # pixels
_LANE = 20  # bits between the colours of a pixel: a blend of 8-bit values needs 18


def warp(image: np.ndarray, matrix: Matrix, fill: tuple[int, int, int]) -> np.ndarray:
    """uint8 [H, W, 3] moved by `matrix`, from (x, y) to (x', y'); around it all is `fill`."""
    height, width = image.shape[:2]
    (x_of_row, x_of_column), (y_of_row, y_of_column) = _sources(matrix, height, width)
    pixels, result = _bordered(image, fill), np.empty_like(image)
    rows = max(1, _BLOCK // width)
    for first in range(0, height, rows):  # so that all numbers stay in the processor's cache
        block = slice(first, first + rows)
        x = (x_of_row[block, None] + x_of_column) >> (_FINE - FRACTION)
        y = (y_of_row[block, None] + y_of_column) >> (_FINE - FRACTION)
        _unpack(_blend(pixels, x, y), result[block])
    return result


def shift(x: float, y: float) -> Matrix:
    """Moves right by x and down by y pixels."""
    return (1.0, 0.0, x), (0.0, 1.0, y)


def shear(x: float, y: float) -> Matrix:
    """Moves rows right by x, and columns down by y, times their distance from the corner."""
    return (1.0, x, 0.0), (y, 1.0, 0.0)


def rotation(degrees: float, height: int, width: int) -> Matrix:
    """Turns counter-clockwise about the centre (W / 2, H / 2)."""
    angle = degrees * np.pi / 180
    cos, sin, x, y = np.cos(angle), np.sin(angle), width / 2, height / 2
    return (cos, sin, (1 - cos) * x - sin * y), (-sin, cos, sin * x + (1 - cos) * y)


def _sources(matrix: Matrix, height: int, width: int):
    """Where pixels come from, in 1/1024 pixel: for x and for y what rows and columns add to it."""
    half = 1 << (_FINE - FRACTION - 1)
    return [
        (
            np.rint((b * np.arange(height) + c) * (1 << _FINE)).astype(np.int64) + half,
            np.rint(a * np.arange(width) * (1 << _FINE)).astype(np.int64),
        )
        for a, b, c in _inverse(matrix)
    ]


def _inverse(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f) = matrix
    scale = 1 / (a * e - b * d)
    a, b, d, e = e * scale, -b * scale, -d * scale, a * scale
    return (a, b, -a * c - b * f), (d, e, -d * c - e * f)


def _bordered(image: np.ndarray, fill: tuple[int, int, int]) -> np.ndarray:
    """Each pixel's colours in one number, two pixels of fill around: int64 [H + 4, W + 4]."""
    height, width = image.shape[:2]
    result = np.full((height + 4, width + 4), _packed(*fill), np.int64)
    inner = result[2:-2, 2:-2]
    inner[...] = image[..., 2]
    for channel in (1, 0):
        inner <<= _LANE
        inner |= image[..., channel]
    return result


def _packed(first: int, second: int, third: int) -> int:
    return first | second << _LANE | third << 2 * _LANE


def _blend(pixels: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """1024 times the colours at x and y, in 1/32 pixel, packed: int64, shaped as x."""
    height, width = pixels.shape
    # Two pixels of border: one further out, all four neighbours are fill.
    left = np.clip(x >> FRACTION, -2, width - 4) + 2
    place = np.clip(y >> FRACTION, -2, height - 4)
    place += 2
    place *= width
    place += left
    x &= (1 << FRACTION) - 1
    y &= (1 << FRACTION) - 1
    flat = pixels.ravel()
    upper, right, lower, last = (
        flat[n:].take(place, mode="clip") for n in (0, 1, width, width + 1)
    )
    for near, far in ((upper, right), (lower, last)):
        far -= near  # lanes may borrow from each other; the sums give it back
        far *= x
        near <<= FRACTION
        near += far
    lower -= upper
    lower *= y
    upper <<= FRACTION
    upper += lower
    return upper


def _unpack(blend: np.ndarray, result: np.ndarray) -> None:
    """Writes the packed colours, rounded half up, to uint8 [..., 3]."""
    blend += _packed(512, 512, 512)
    blend >>= 2 * FRACTION
    for channel in range(3):
        result[..., channel] = blend  # its lowest 8 bits
        blend >>= _LANE
