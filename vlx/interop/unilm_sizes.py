"""What files of BEiT and VLMo do not say outright: the number of heads, the form of images."""

import math
from collections.abc import Iterable
from typing import Any

from vlx.errors import UserError
from vlx.layers.multiway import MultiwayConfig
from vlx.layers.relative import Grid


def published_heads(width: int, layers: int, configs: Iterable[Any]) -> int:
    """The heads of the first of these model configs that has such an encoder."""
    for config in configs:
        encoder = getattr(config, "encoder", None)
        if isinstance(encoder, MultiwayConfig) and (encoder.width, encoder.layers) == (
            width,
            layers,
        ):
            return encoder.heads
    raise UserError(
        f"A model of width {width} with {layers} layers is not a published one, and without "
        "relative positions a file does not tell the number of its heads; read it by init_from of "
        "a run whose config.model says it."
    )


def side_of(offsets: int) -> int:
    """Patches in a row of a square image with so many offsets between two patches; 0 if none."""
    root = math.isqrt(max(offsets, 0))
    return (root + 1) // 2 if root * root == offsets and root % 2 else 0


def grid_of(patches: int, like: Any) -> Grid:
    """Rows and columns of so many patches: square, else those of the model config `like`."""
    side = math.isqrt(patches)
    if side * side == patches:
        return side, side
    grid = getattr(like, "grid", None)
    if grid and math.prod(grid) == patches:
        return grid
    raise UserError(
        f"The file's {patches} image positions make no square, so their order is unknown; read it "
        "by init_from of a run with that config.model.image_size."
    )


def mlp_ratio(c: MultiwayConfig) -> float:
    """The official setting, which is cut to a whole number of hidden units."""
    ratio = c.hidden / c.width
    return ratio if int(c.width * ratio) == c.hidden else math.nextafter(ratio, math.inf)


def check_expressible(c: MultiwayConfig) -> None:
    """Raises UserError for an encoder that the official code cannot build."""
    if c.epsilon != MultiwayConfig.epsilon:
        raise UserError(
            f"unilm has no counterpart of this model: encoder.epsilon={c.epsilon} is always "
            f"{MultiwayConfig.epsilon} there."
        )
    if "k" in c.biases:
        raise UserError(
            f"unilm has no counterpart of this model: encoder.biases={c.biases!r} has the key's, "
            "which has none there."
        )
