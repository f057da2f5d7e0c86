"""BEiT: a Vision Transformer that learns from masked patches, then from classes.

Papers: "BEiT: BERT Pre-Training of Image Transformers", arXiv 2106.08254; "BEiT v2: Masked Image
Modeling with Vector-Quantized Visual Tokenizers", arXiv 2208.06366, which adds the aggregation of
patches. Sizes and details follow the official releases. VLMo's first stage is a BEiT.

Letters: B batch, P patches, D width, V codes, C classes.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from vlx.layers import initializers as init
from vlx.layers import relative
from vlx.layers.embeddings import SquarePatches
from vlx.layers.images import ImageTokens, ImageTokensConfig
from vlx.layers.module import Dense, Module
from vlx.layers.multiway import Multiway, MultiwayConfig, MultiwayLayers
from vlx.layers.norm import Norm
from vlx.layers.parts import Parts
from vlx.layers.stack import Compute

Array = jax.Array

POSITIONS = ("absolute", "relative", "shared_relative")


@dataclass(frozen=True)
class Aggregation:
    """A second prediction of the codes, in pre-training alone: from patches as they are half-way.

    The class token comes from the end, so what the last layers learn has to go through it.
    """

    layers: int = 0  # that see the early patches and the last class token; 0: no second prediction
    after: int = 9  # layers the patches are taken; the extra layers are numbered on from there
    own_head: bool = False  # with a norm and a head of its own


@dataclass(frozen=True)
class BeitConfig(SquarePatches):
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
    aggregation: Aggregation = Aggregation()
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
        a = self.aggregation
        if a.layers and not (self.codes and 1 <= a.after <= self.encoder.layers):
            raise ValueError(
                f"aggregation.layers={a.layers} needs a model of codes with at least "
                f"aggregation.after={a.after} layers; 0 leaves the aggregation out."
            )
        rows = relative.image_rows(self.grid) if "relative" in self.positions else 0
        encoder = replace(self.encoder, relative_rows=rows, truncated=bool(self.codes))
        object.__setattr__(self, "encoder", encoder)

    @property
    def image_tokens(self) -> ImageTokensConfig:
        return ImageTokensConfig(
            self.image_size,
            self.patch,
            self.encoder.width,
            self.channels,
            positions="absolute" in self.positions,
            mask_token=bool(self.codes),
            deviation=self.encoder.deviation,
            truncated=bool(self.codes),
        )


class CutEncoder(Module):
    """An encoder's layers in two stacks, `lower` and `upper`; arguments as of MultiwayLayers."""

    config: MultiwayConfig
    compute: Compute
    cut: int  # layers of the lower stack
    layers: int  # of both

    def setup(self):
        self.lower = MultiwayLayers(self.config, self.compute, 0, self.cut)
        if self.cut < self.layers:
            self.upper = MultiwayLayers(self.config, self.compute, self.cut, self.layers)

    def __call__(self, x: Array, parts: Parts, **how) -> tuple[Array, Array]:
        """Tokens after the last layer and between the stacks: both [B, L, D]."""
        early = self.lower(x, parts, **how)
        return self.upper(early, parts, **how) if self.cut < self.layers else early, early


class Beit(Module):
    """Capabilities: features, patch_features, patch_tokens, layer_features, classify, code_logits,
    all_code_logits.
    """

    config: BeitConfig

    def setup(self):
        c, dtype = self.config, self.config.compute.dtype
        self.image = ImageTokens(c.image_tokens, dtype)
        if "shared_relative" in c.positions:
            self.relative = relative.RelativeBias(relative.image_rows(c.grid), c.encoder.heads)
        if c.aggregation.layers:
            self._setup_aggregation(c.aggregation)
        else:
            self.encoder = Multiway(c.encoder, c.compute)
        if c.codes:
            self.norm = Norm(c.encoder.epsilon, dtype)
            self.code_head = Dense(c.codes, kernel_init=c.encoder.kernel_init, dtype=dtype)
        else:
            norm = "class_norm" if c.mean_pooling else "norm"
            setattr(self, norm, Norm(c.encoder.epsilon, dtype))
        if c.classes:
            small = init.normal(0.001 * 0.02)  # the official code shrinks the head it has drawn
            self.class_head = Dense(c.classes, kernel_init=small, dtype=dtype)

    def _setup_aggregation(self, a: Aggregation):
        c, e, last = self.config, self.config.encoder, a.after + a.layers
        deep = replace(e, layers=max(e.layers, last))  # rates of dropped branches go by number
        self.encoder = CutEncoder(deep, c.compute, a.after, e.layers)
        self.aggregation = MultiwayLayers(deep, c.compute, a.after, last)
        if a.own_head:
            dtype = c.compute.dtype
            self.aggregation_norm = Norm(e.epsilon, dtype)
            self.aggregation_head = Dense(c.codes, kernel_init=e.kernel_init, dtype=dtype)

    def __call__(self, image: Array) -> Array:
        """Logits of codes [B, P, V] or of classes [B, C], or patches [B, P, D] without a head.

        image: normalised floats.
        """
        if self.config.codes:
            return self.all_code_logits(image)["codes"]
        return self.classify(image) if self.config.classes else self.patch_features(image)

    def code_logits(self, image: Array, hidden: Array | None = None) -> Array:
        """What each patch looks like, also where it is hidden: bool [B, P] -> [B, P, V]."""
        return self.code_head(self.norm(self._encode(image, hidden))[:, 1:])

    def all_code_logits(self, image: Array, hidden: Array | None = None) -> dict[str, Array]:
        """`code_logits` as "codes", and where patches are aggregated also "aggregated_codes"."""
        a = self.config.aggregation
        if not a.layers:
            return {"codes": self.code_logits(image, hidden)}
        x, parts, how = self._embed(image, hidden)
        last, early = self.encoder(x, parts, **how)
        mixed = jnp.concatenate([last[:, :1], early[:, 1:]], axis=1)
        mixed = self.aggregation(mixed, parts, **how)
        norm, head = self.norm, self.code_head
        logits = {"codes": head(norm(last)[:, 1:])}
        if a.own_head:
            norm, head = self.aggregation_norm, self.aggregation_head
        return logits | {"aggregated_codes": head(norm(mixed)[:, 1:])}

    def patch_features(self, image: Array) -> Array:
        """What the last norm makes of each patch: [B, P, D]."""
        c, x = self.config, self._encode(image)
        if c.mean_pooling and not c.codes:
            return self.class_norm(x[:, 1:])
        return self.norm(x)[:, 1:]

    def patch_tokens(self, image: Array) -> Array:
        """Patches after the last layer, before its norm: [B, P, D]."""
        return self._encode(image)[:, 1:]

    def layer_features(self, image: Array, after: tuple[int, ...]) -> tuple[Array, ...]:
        """Patches after these layers, counted from 1, without a norm: each [B, P, D]."""
        x, parts, how = self._embed(image, None)
        every = self.encoder.climb(x, parts, collect=True, **how)  # after each layer: NBLD
        return tuple(every[n - 1, :, 1:] for n in after)

    def features(self, image: Array) -> Array:
        """What classes are told by, or the mean of all patches: [B, D]."""
        c, x = self.config, self._encode(image)
        if c.codes:
            return jnp.mean(self.norm(x)[:, 1:], axis=1)
        return self.class_norm(jnp.mean(x[:, 1:], axis=1)) if c.mean_pooling else self.norm(x)[:, 0]

    def classify(self, image: Array) -> Array:
        """Logits of classes: [B, C]."""
        return self.class_head(self.features(image))

    def _embed(self, image: Array, hidden: Array | None) -> tuple[Array, Parts, dict]:
        """Tokens [B, 1 + P, D] and what the layers are to know of them."""
        c, x = self.config, self.image(image, hidden)
        index = relative.image_index(c.grid)
        bias = self.relative(index) if "shared_relative" in c.positions else None
        return x, (("image", x.shape[1]),), {"bias": bias, "index": index}

    def _encode(self, image: Array, hidden: Array | None = None) -> Array:
        x, parts, how = self._embed(image, hidden)
        x = self.encoder(x, parts, **how)
        return x[0] if self.config.aggregation.layers else x


def fresh_params(model: Beit, rng: Array) -> dict:
    """Initial parameters; what a layer l of L adds starts smaller by (2 l)^-0.5.

    The layers of an aggregation begin as the others. The official ones miss that, because they are
    made after all others have been initialised.
    """
    c = model.config
    image = jnp.zeros((1, *c.image_size, c.channels))
    params = scaled_by_depth(model.init(rng, image)["params"])
    if c.aggregation.layers:
        params = scaled_by_depth(params, "encoder/upper", c.aggregation.after)
        params = scaled_by_depth(params, "aggregation", c.aggregation.after)
    return params


def scaled_by_depth(params: dict, stack: str = "encoder/lower", first: int = 0) -> dict:
    """Parameters in which layer l of a stack, which has `first` below it, adds (2 l)^-0.5."""
    params = flatten_dict(params, sep="/")
    for path in ("attention/out/kernel", "image/mlp/down/kernel"):
        path = f"{stack}/layers/{path}"
        if path not in params:  # a cut after the last layer
            continue
        depth = first + jnp.arange(1, len(params[path]) + 1)
        factor = jax.lax.rsqrt(2.0 * depth)
        params[path] = params[path] * factor.reshape(-1, *[1] * (params[path].ndim - 1))
    return unflatten_dict(params, sep="/")


def _encoder(layers: int, width: int, heads: int, scale: float, hidden: int = 0) -> MultiwayConfig:
    return MultiwayConfig(
        width, layers, heads, hidden or 4 * width, experts=("image",), layer_scale=scale
    )


def _classes(config: BeitConfig, classes: int) -> BeitConfig:
    changes = {"codes": 0, "classes": classes, "positions": ("relative",)}
    return replace(config, aggregation=Aggregation(), **changes)


_BASE = BeitConfig(_encoder(12, 768, 12, 0.1))
_LARGE = BeitConfig(_encoder(24, 1024, 16, 1e-5))
# BEiT v2: the same encoders with aggregated patches, and sizes of which no weights were published.
_V2 = {
    "base": replace(_BASE, pixels="imagenet", aggregation=Aggregation(2, after=9)),
    "large": replace(_LARGE, pixels="imagenet", aggregation=Aggregation(2, after=21)),
    "24x544": BeitConfig(
        _encoder(24, 544, 16, 0.1), pixels="imagenet", aggregation=Aggregation(2, after=21)
    ),
    "huge": BeitConfig(_encoder(32, 1280, 16, 1e-5), patch=14, pixels="imagenet"),
    "giant": BeitConfig(_encoder(40, 1408, 16, 1e-5, 6144), patch=14, pixels="imagenet"),
}

CONFIGS = {
    # Cut at one deviation and not wide: kernels that start as small as the base's learn slowly.
    "tiny": BeitConfig(
        replace(_encoder(4, 96, 4, 0.0, hidden=288), deviation=0.15), (48, 48), 8, codes=64
    ),
    "base": _BASE,
    "large": _LARGE,
    # VLMo base_plus needs one; its own was not published.
    "base_plus": BeitConfig(_encoder(24, 544, 16, 0.0), positions=("absolute",)),
    "base_22k": _classes(_BASE, 21841),
    "large_22k": _classes(_LARGE, 21841),
    "base_1k": _classes(_BASE, 1000),
    "large_1k": _classes(_LARGE, 1000),
    **{f"{size}_v2": config for size, config in _V2.items()},
    **{f"{size}_v2_21k": _classes(config, 21841) for size, config in _V2.items()},
    **{f"{size}_v2_1k": _classes(config, 1000) for size, config in _V2.items()},
}
