"""Models by name: what a file of weights says it holds."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from vlx.config import build, nearest
from vlx.errors import UserError
from vlx.models import beit, beit3, clip, coca, dvae, segmenter, vlmo, vqkd


class Kind(NamedTuple):
    """A model's config dataclass, its module, and the configs that have names."""

    config: type
    module: type[nn.Module]
    presets: Mapping[str, Any]


MODELS = {
    "beit": Kind(beit.BeitConfig, beit.Beit, beit.CONFIGS),
    "beit3": Kind(beit3.Beit3Config, beit3.Beit3, beit3.CONFIGS),
    "clip": Kind(clip.ClipConfig, clip.Clip, clip.CONFIGS),
    "coca": Kind(coca.CocaConfig, coca.Coca, coca.CONFIGS),
    "dvae": Kind(dvae.DvaeConfig, dvae.Dvae, dvae.CONFIGS),
    "segmenter": Kind(segmenter.SegmenterConfig, segmenter.Segmenter, segmenter.CONFIGS),
    "vlmo": Kind(vlmo.VlmoConfig, vlmo.Vlmo, vlmo.CONFIGS),
    "vqkd": Kind(vqkd.VqkdConfig, vqkd.Vqkd, vqkd.CONFIGS),
}


def build_model(name: str, config: Mapping[str, Any], where: str = "config.model") -> nn.Module:
    """The model of a complete config, as JSON holds it. Raises UserError for an unknown one."""
    if name not in MODELS:
        raise UserError(f"{where}: no model is called {name!r}; {nearest(name, MODELS)}")
    kind = MODELS[name]
    return kind.module(build(kind.config, config, where))


def name_of(model: nn.Module) -> str:
    """The name in MODELS of a model, or of its config."""
    config = getattr(model, "config", model)
    return next(name for name, kind in MODELS.items() if kind.config is type(config))


def parameter_shapes(model: nn.Module) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types of all parameters by path; nothing is computed."""
    return dict(_parameter_shapes(model))


@lru_cache(maxsize=16)  # a command asks for one model's several times
def _parameter_shapes(model: nn.Module) -> dict[str, jax.ShapeDtypeStruct]:
    inputs = [jax.ShapeDtypeStruct((1, *model.config.image_size, 3), jnp.float32)]
    if length := getattr(model.config, "text_length", 0):
        inputs.append(jax.ShapeDtypeStruct((1, length), jnp.int32))
    params = jax.eval_shape(lambda *x: model.init(jax.random.key(0), *x), *inputs)["params"]
    return flatten_dict(params, sep="/")
