"""VLMo's sizes, heads and positions.

Paper: arXiv 2111.02358. Sizes follow the official release.
"""

from dataclasses import dataclass, replace

import numpy as np

from vlx.layers import relative
from vlx.layers.images import ImageTokensConfig
from vlx.layers.multiway import MultiwayConfig
from vlx.layers.stack import Compute
from vlx.models.headed import Headed

HEADS = ("contrastive", "pair_contrastive", "matching", "words", "answers", "truth")
PAD = 0  # BERT's
POSITIONS = ("relative", "absolute", "both", "none")
TEXT, IMAGE, SECOND_IMAGE = 0, 1, 2  # rows of the table of kinds


@dataclass(frozen=True)
class VlmoConfig(Headed):
    """The encoder's `relative_rows` follow from the other sizes and are filled in."""

    encoder: MultiwayConfig
    image_size: tuple[int, int] = (224, 224)  # height, width
    patch: int = 16
    vocabulary: int = 30522
    text_length: int = 40  # of the longest text
    positions: str = "relative"  # or "absolute", "both", "none"
    longest: int = 196  # texts that the relative positions have rows for
    heads: tuple[str, ...] = ("contrastive", "pair_contrastive", "matching", "words")
    answers: int = 3129
    truth_images: int = 2  # that a statement is about
    logit_scale: float = np.log(1 / 0.07)  # initial, of its logarithm
    compute: Compute = Compute()

    def __post_init__(self):
        self.check_heads(HEADS)
        if self.truth_images not in (1, 2):
            raise ValueError(f"truth_images={self.truth_images} must be 1 or 2.")
        if {"answers", "truth"} <= set(self.heads) and self.truth_images == 1:
            raise ValueError(
                "heads: a model answers questions or judges statements about an image."
            )
        if "pair_contrastive" in self.heads and "contrastive" not in self.heads:
            raise ValueError("heads: pair_contrastive comes beside contrastive.")
        if self.positions not in POSITIONS:
            raise ValueError(f"positions={self.positions!r}: choose from {', '.join(POSITIONS)}.")
        if self.text_length > self.longest and self.is_relative:
            raise ValueError(
                f"text_length={self.text_length} exceeds longest={self.longest}, the relative "
                "positions."
            )
        rows = relative.table_rows(self.grid, self.longest) if self.is_relative else 0
        object.__setattr__(self, "encoder", replace(self.encoder, relative_rows=rows))

    @property
    def is_relative(self) -> bool:
        return self.positions in ("relative", "both")

    @property
    def is_absolute(self) -> bool:
        return self.positions in ("absolute", "both")

    @property
    def image_tokens(self) -> ImageTokensConfig:
        return ImageTokensConfig(
            self.image_size, self.patch, self.encoder.width, positions=self.is_absolute
        )


def _preset(layers: int, width: int, heads: int, pair_layers: int, **options) -> VlmoConfig:
    scale = 0.1 if options.get("positions", "relative") == "relative" else 0.0
    encoder = MultiwayConfig(
        width, layers, heads, 4 * width, pair_layers=pair_layers, layer_scale=scale
    )
    return VlmoConfig(encoder, **options)


def _tiny() -> VlmoConfig:
    """A model of the base's form for laptops, tests and the demo."""
    # At this width and depth, branches that start as small as the base's would learn slowly.
    encoder = MultiwayConfig(96, 4, 4, 288, pair_layers=1, deviation=0.08)
    return VlmoConfig(encoder, (48, 48), 8, vocabulary=512, text_length=24, longest=32, answers=64)


CONFIGS = {
    "tiny": _tiny(),
    "base": _preset(12, 768, 12, 2),
    "base_plus": _preset(24, 544, 16, 3, positions="absolute"),
    "large": _preset(24, 1024, 16, 3),
}
