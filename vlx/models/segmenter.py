"""A class for every pixel: a Vision Transformer under the heads of UPerNet.

BEiT v2 as its authors fine-tune it to ADE20K (arXiv 2208.06366): features after four layers are
made a pyramid, from which UPerNet tells classes; in training a second, smaller head does too.

Letters: B batch, P patches, h, w rows and columns, D width, K classes.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp

from vlx.layers.module import Module
from vlx.layers.stack import Compute
from vlx.layers.upernet import HeadConfig, PlainHead, Pyramid, UperHead
from vlx.models import beit, beit3
from vlx.models.beit import Beit, BeitConfig, scaled_by_depth

Array = jax.Array

PATCHES = (8, 16)  # pixels, from which there is a pyramid
COARSEST = 32  # pixels of a place of the last level


@dataclass(frozen=True)
class SegmenterConfig:
    """The backbone tells size and pixels of images; it is computed as the rest."""

    backbone: BeitConfig
    classes: int = 150
    after: tuple[int, int, int, int] = (4, 6, 8, 12)  # layers, from 1, whose outputs are read
    channels: int = 768  # of UPerNet
    auxiliary_channels: int = 256  # of the second head
    scales: tuple[int, ...] = (1, 2, 3, 6)  # of UPerNet's pooling
    dropout: float = 0.1  # of channels before either classifier
    epsilon: float = 1e-5  # of batch norm
    compute: Compute = Compute()

    def __post_init__(self):
        b = self.backbone
        if b.codes or b.classes:
            raise ValueError("backbone.codes and backbone.classes must be 0: it needs no head.")
        if b.patch not in PATCHES:
            raise ValueError(f"backbone.patch={b.patch}: a pyramid is made of 8 or 16 pixels.")
        if min(b.image_size) < COARSEST:
            raise ValueError(f"backbone.image_size={b.image_size} must be {COARSEST} or more.")
        layers = b.encoder.layers
        if list(self.after) != sorted(self.after) or not set(self.after) <= {*range(1, layers + 1)}:
            raise ValueError(f"after={self.after} must be four layers in order, of 1 to {layers}.")
        object.__setattr__(self, "backbone", replace(b, compute=self.compute))

    @property
    def image_size(self) -> tuple[int, int]:
        return self.backbone.image_size

    @property
    def grid(self) -> tuple[int, int]:
        return self.backbone.grid

    @property
    def pixels(self) -> str:
        return self.backbone.pixels

    def head(self, channels: int) -> HeadConfig:
        return HeadConfig(self.classes, channels, self.scales, self.dropout, self.epsilon)


class Segmenter(Module):
    """Capability: segment. `group` is given in training alone, see vlx/layers/batch_norm.py."""

    config: SegmenterConfig

    def setup(self):
        c, dtype = self.config, self.config.compute.dtype
        self.backbone = Beit(c.backbone)
        self.pyramid = Pyramid(c.backbone.patch, c.epsilon, dtype)
        self.head = UperHead(c.head(c.channels), len(c.after), dtype)
        self.auxiliary = PlainHead(c.head(c.auxiliary_channels), dtype)

    def __call__(self, image: Array, group: int | None = None) -> tuple[Array, Array]:
        """Logits of both heads: [B, h, w, K] at every 4 and every 16 pixels.

        image: normalised floats. Patches of 8 pixels: the second head's are of every 16, too.
        """
        maps = self.maps(image, group)
        return self.head(maps, group), self.auxiliary(maps[2], group)

    def segment(self, image: Array) -> Array:
        """Logits of a class for every 4 x 4 pixels: [B, h, w, K]."""
        return self.head(self.maps(image))

    def maps(self, image: Array, group: int | None = None) -> list[Array]:
        """The pyramid, from the finest level: each [B, h, w, D]."""
        c = self.config
        features = self.backbone.layer_features(image, c.after)
        return self.pyramid(tuple(x.reshape(len(x), *c.grid, -1) for x in features), group)


def fresh_params(model: Segmenter, rng: Array) -> dict:
    """Initial parameters; the backbone's as of `vlx.models.beit.fresh_params`."""
    image = jnp.zeros((1, *model.config.image_size, model.config.backbone.channels))
    params = model.init(rng, image)["params"]
    return {**params, "backbone": scaled_by_depth(params["backbone"])}


def _backbone(name: str, size: int, scale: float) -> BeitConfig:
    c = beit.CONFIGS[name]
    encoder = replace(c.encoder, layer_scale=scale)
    return replace(c, encoder=encoder, image_size=(size, size), classes=0)


def _image_branch(name: str, size: int) -> BeitConfig:
    """BEiT-3 as images alone see it: a BEiT with inner norms and absolute positions."""
    c = beit3.CONFIGS[name]
    encoder = replace(c.encoder, experts=("image",), apart=False, drop_together=False)
    return BeitConfig(encoder, (size, size), c.patch, positions=("absolute",), codes=0)


CONFIGS = {
    "tiny": SegmenterConfig(
        replace(
            beit.CONFIGS["tiny"],
            image_size=(64, 64),
            codes=0,
            positions=("relative",),
            pixels="imagenet",
        ),
        classes=9,  # of the built-in world
        after=(1, 2, 3, 4),
        channels=64,
        auxiliary_channels=32,
    ),
    # BEiT v2's, at 512 pixels; the published ones' layer scale is that of their pre-training.
    "base_v2": SegmenterConfig(_backbone("base_v2_1k", 512, 0.1)),
    "large_v2": SegmenterConfig(
        _backbone("large_v2_1k", 512, 1e-6), after=(8, 12, 16, 24), channels=1024
    ),
    # No such models of BEiT-3 were published.
    "base_beit3": SegmenterConfig(_image_branch("base", 512)),
    "large_beit3": SegmenterConfig(
        _image_branch("large", 512), after=(8, 12, 16, 24), channels=1024
    ),
}
