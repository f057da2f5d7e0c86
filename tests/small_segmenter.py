"""A segmenter of a few thousand parameters: images of 2 x 3 patches, five classes."""

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from vlx.layers.multiway import MultiwayConfig
from vlx.models import parameter_shapes
from vlx.models.beit import BeitConfig
from vlx.models.segmenter import Segmenter, SegmenterConfig

ENCODER = MultiwayConfig(10, 4, 2, 7, experts=("image",), layer_scale=0.1)
SIZE = (32, 48)


def backbone(**changes) -> BeitConfig:
    parts = {"encoder": ENCODER, "positions": ("relative",), "image_size": SIZE}
    return BeitConfig(**(parts | {"codes": 0, "pixels": "imagenet"} | changes))


def config(**changes) -> SegmenterConfig:
    parts = {"backbone": backbone(), "classes": 5, "after": (1, 2, 3, 4), "scales": (1, 2)}
    return SegmenterConfig(**(parts | {"channels": 6, "auxiliary_channels": 3} | changes))


def parameters(config: SegmenterConfig, seed: int = 1) -> dict:
    """Random ones, far from zero; what scales and what varies is above it."""
    rng, result = np.random.default_rng(seed), {}
    for path, x in parameter_shapes(Segmenter(config)).items():
        value = 0.4 * rng.standard_normal(x.shape)
        if path.endswith(("scale", "variance")):
            value = 0.5 + np.abs(value)
        result[path] = value.astype(np.float32)
    return unflatten_dict(result, sep="/")


def batch(rows: int, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (rows, *SIZE, 3), dtype=np.uint8),
        "label_map": rng.integers(-1, 5, (rows, *SIZE)).astype(np.int32),
        "weight": np.ones(rows, np.float32),
    }


def logits(config: SegmenterConfig, params: dict, image) -> jax.Array:
    model = Segmenter(config)
    return jax.jit(lambda p, x: model.apply({"params": p}, x, method="segment"))(params, image)
