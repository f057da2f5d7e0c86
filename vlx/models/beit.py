"""BEiT: a Vision Transformer that learns from masked patches, then from classes.

Paper: "BEiT: BERT Pre-Training of Image Transformers", arXiv 2106.08254. Sizes and details follow
the official release. VLMo's first stage is a BEiT.

Letters: B batch, P patches, D width, V codes, C classes.
"""

from dataclasses import dataclass, replace

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from vlx.layers import initializers as init
from vlx.layers import relative
from vlx.layers.images import ImageTokens, ImageTokensConfig
from vlx.layers.multiway import Multiway, MultiwayConfig
from vlx.layers.norm import Norm
from vlx.layers.stack import Compute

Array = jax.Array

POSITIONS = ("absolute", "relative", "shared_relative")


@dataclass(frozen=True)
class BeitConfig:
    """A model predicts codes or classes, or is an encoder alone.

    The encoder's `relative_rows` and how it starts follow.
    """

    encoder: MultiwayConfig
    image_size: tuple[int, int] = (224, 224)  # height, width
    patch: int = 16
    channels: int = 3  # of the image, or of what else is put on a grid
    positions: tuple[str, ...] = ("shared_relative",)  # relative ones by layer, or shared by all
    codes: int = 8192  # of the visual tokenizer; 0: none are predicted
    classes: int = 0
    pixels: str = "inception"  # their statistics; "imagenet" where only ImageNet-1k was seen
    mean_pooling: bool = True  # classes from the mean of the patches, else from the class token
    compute: Compute = Compute()

    def __post_init__(self):
        unknown = set(self.positions) - set(POSITIONS)
        if unknown:
            raise ValueError(
                f"positions: {sorted(unknown)} unknown; choose from {', '.join(POSITIONS)}."
            )
        if self.codes and self.classes:
            raise ValueError("a model predicts codes or classes: give one of them a number.")
        if self.encoder.experts != ("image",) or self.encoder.pair_layers:
            raise ValueError("encoder.experts must be ('image',), without layers for pairs.")
        rows = relative.image_rows(self.grid) if "relative" in self.positions else 0
        encoder = replace(self.encoder, relative_rows=rows, truncated=bool(self.codes))
        object.__setattr__(self, "encoder", encoder)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.image_size[0] // self.patch, self.image_size[1] // self.patch

    @property
    def image_tokens(self) -> ImageTokensConfig:
        return ImageTokensConfig(
            self.image_size,
            self.patch,
            self.encoder.width,
            self.channels,
            positions="absolute" in self.positions,
            mask_token=bool(self.codes),
            truncated=bool(self.codes),
        )


class Beit(nn.Module):
    """Capabilities: features, patch_features, classify, code_logits."""

    config: BeitConfig

    def setup(self):
        c, dtype = self.config, self.config.compute.dtype
        self.image = ImageTokens(c.image_tokens, dtype)
        if "shared_relative" in c.positions:
            self.relative = relative.RelativeBias(relative.image_rows(c.grid), c.encoder.heads)
        self.encoder = Multiway(c.encoder, c.compute)
        if c.codes:
            self.norm = Norm(c.encoder.epsilon, dtype)
            self.code_head = nn.Dense(c.codes, kernel_init=c.encoder.kernel_init, dtype=dtype)
        else:
            norm = "class_norm" if c.mean_pooling else "norm"
            setattr(self, norm, Norm(c.encoder.epsilon, dtype))
        if c.classes:
            small = init.normal(0.001 * 0.02)  # the official code shrinks the head it has drawn
            self.class_head = nn.Dense(c.classes, kernel_init=small, dtype=dtype)

    def __call__(self, image: Array) -> Array:
        """Logits of codes [B, P, V] or of classes [B, C], or patches [B, P, D] without a head.

        image: normalised floats.
        """
        if self.config.codes:
            return self.code_logits(image)
        return self.classify(image) if self.config.classes else self.patch_features(image)

    def code_logits(self, image: Array, hidden: Array | None = None) -> Array:
        """What each patch looks like, also where it is hidden: bool [B, P] -> [B, P, V]."""
        return self.code_head(self.norm(self._encode(image, hidden))[:, 1:])

    def patch_features(self, image: Array) -> Array:
        """What the last norm makes of each patch: [B, P, D]."""
        c, x = self.config, self._encode(image)
        if c.mean_pooling and not c.codes:
            return self.class_norm(x[:, 1:])
        return self.norm(x)[:, 1:]

    def features(self, image: Array) -> Array:
        """What classes are told by, or the mean of all patches: [B, D]."""
        c, x = self.config, self._encode(image)
        if c.codes:
            return jnp.mean(self.norm(x)[:, 1:], axis=1)
        return self.class_norm(jnp.mean(x[:, 1:], axis=1)) if c.mean_pooling else self.norm(x)[:, 0]

    def classify(self, image: Array) -> Array:
        """Logits of classes: [B, C]."""
        return self.class_head(self.features(image))

    def _encode(self, image: Array, hidden: Array | None = None) -> Array:
        c, x = self.config, self.image(image, hidden)
        index = relative.image_index(c.grid)
        bias = self.relative(index) if "shared_relative" in c.positions else None
        return self.encoder(x, (("image", x.shape[1]),), bias=bias, index=index)


def fresh_params(model: Beit, rng: Array) -> dict:
    """Initial parameters; what a layer l of L adds starts smaller by (2 l)^-0.5."""
    c = model.config
    image = jnp.zeros((1, *c.image_size, c.channels))
    return scaled_by_depth(model.init(rng, image)["params"], c.encoder.layers)


def scaled_by_depth(params: dict, layers: int) -> dict:
    """Parameters whose layer l adds (2 l)^-0.5 of what it would."""
    params = flatten_dict(params, sep="/")
    depth = jnp.arange(1, layers + 1)
    for path in ("attention/out/kernel", "image/mlp/down/kernel"):
        path = f"encoder/lower/layers/{path}"
        factor = jax.lax.rsqrt(2.0 * depth)
        params[path] = params[path] * factor.reshape(-1, *[1] * (params[path].ndim - 1))
    return unflatten_dict(params, sep="/")


def _encoder(layers: int, width: int, heads: int, scale: float, ratio: int = 4) -> MultiwayConfig:
    return MultiwayConfig(
        width, layers, heads, ratio * width, experts=("image",), layer_scale=scale
    )


def _classes(config: BeitConfig, classes: int) -> BeitConfig:
    return replace(config, codes=0, classes=classes, positions=("relative",))


_BASE = BeitConfig(_encoder(12, 768, 12, 0.1))
_LARGE = BeitConfig(_encoder(24, 1024, 16, 1e-5))

CONFIGS = {
    "tiny": BeitConfig(
        replace(_encoder(4, 96, 4, 0.0, ratio=3), deviation=0.08), (48, 48), 8, codes=64
    ),
    "base": _BASE,
    "large": _LARGE,
    # VLMo base_plus needs one; its own was not published.
    "base_plus": BeitConfig(_encoder(24, 544, 16, 0.0), positions=("absolute",)),
    "base_22k": _classes(_BASE, 21841),
    "large_22k": _classes(_LARGE, 21841),
    "base_1k": _classes(_BASE, 1000),
    "large_1k": _classes(_LARGE, 1000),
}
