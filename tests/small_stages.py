"""Models of VLMo's stages, of a few thousand parameters; images of 3 x 3 patches."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vlx.data import TokenizerConfig
from vlx.interop.fit import fit
from vlx.interop.pretrained import Pixels, Pretrained
from vlx.layers.multiway import MultiwayConfig
from vlx.models import MODELS, name_of, parameter_shapes
from vlx.models.beit import BeitConfig
from vlx.models.beit3 import Beit3Config
from vlx.models.dvae import DvaeConfig
from vlx.models.vlmo_config import VlmoConfig

import small_models as small

SIZE = {"image_size": (9, 9), "patch": 3}
DVAE = DvaeConfig((16, 16), width=8, blocks=1, codes=11, decoder=False)


def vlmo(pair_layers: int = 1, scale: float = 0.1, **changes) -> VlmoConfig:
    encoder = MultiwayConfig(10, 3, 2, 7, pair_layers=pair_layers, layer_scale=scale)
    return small.vlmo(**(SIZE | {"encoder": encoder} | changes))


def beit(scale: float = 0.1, **changes) -> BeitConfig:
    encoder = MultiwayConfig(10, 3, 2, 7, experts=("image",), layer_scale=scale)
    parts = {"positions": ("relative",), "codes": 11}
    return BeitConfig(encoder, **(SIZE | parts | changes))


def beit3(apart: bool = True, **changes) -> Beit3Config:
    config = small.beit3(apart, **(SIZE | changes))
    return replace(
        config, encoder=replace(config.encoder, epsilon=1e-5, drop_together=True, truncated=True)
    )


def classes(number: int = 5, **changes) -> BeitConfig:
    return beit(codes=0, classes=number, **changes)


def trained(
    config: Any, vocabulary: Path | None = None, seed: int = 1, answers: tuple[str, ...] = ()
) -> Pretrained:
    """The model of a config with random parameters."""
    model = MODELS[name_of(config)].module(config)
    inputs = [jnp.zeros((1, *config.image_size, 3))]
    length = getattr(config, "text_length", 0)
    inputs += [jnp.zeros((1, length), jnp.int32)] if length else []
    params = flatten_dict(small.parameters(model, *inputs, seed=seed), sep="/")
    return Pretrained(
        model,
        {path: np.asarray(x) for path, x in params.items()},
        Pixels(config.image_size, "inception", "squash"),
        TokenizerConfig(length=length) if length else None,
        (vocabulary,) if vocabulary else (),
        answers,
    )


def begin(config: Any, source: Pretrained, fresh: float = 0.0):
    """What a model takes of another, and its parameters with `fresh` wherever it takes nothing."""
    model = MODELS[name_of(config)].module(config)
    shapes = {path: x.shape for path, x in parameter_shapes(model).items()}
    fitted = fit(shapes, config, source)
    params = {path: np.full(shape, fresh, np.float32) for path, shape in shapes.items()}
    params |= {path: np.ma.filled(x, fresh) for path, x in fitted.values.items()}
    return fitted, unflatten_dict(params, sep="/")
