"""Official configs, names and layouts of the open_clip cases."""

import re

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vlx.interop import clip as clip_format
from vlx.interop import open_clip_coca
from vlx.interop.open_clip_config import read_config
from vlx.interop.table import to_official, to_vlx
from vlx.models.coca import CocaConfig
from vlx.tasks.coca import CocaLoss, CocaTask

from golden_checks.case import Case, Ratios

MODEL_KEYS = {
    "embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "multimodal_cfg", "init_logit_bias",
    "init_logit_scale", "nonscalar_logit_scale", "pad_id", "custom_text",
}  # fmt: skip


def model_config(config: dict):
    """The vlx config of a case; what is not about the model is left out."""
    return read_config({k: v for k, v in config.items() if k in MODEL_KEYS})


def table_of(config, official) -> list:
    if isinstance(config, CocaConfig):
        return open_clip_coca.table(config)
    separate = any(name.startswith("text.") for name in official)
    return clip_format.table(config, "text." if separate else "")


def load_params(table, official: dict) -> dict:
    return unflatten_dict(to_vlx(table, official), sep="/")


def official_names(table, params: dict) -> dict:
    """Parameters or gradients under their official names."""
    return to_official(table, flatten_dict(jax.device_get(params), sep="/"))


def nhwc(image: np.ndarray) -> np.ndarray:
    return image.transpose(0, 2, 3, 1)


def round_trip(table, official: dict) -> Ratios:
    """Official to vlx and back is the identity; as ratios, 0 or infinity."""
    back = to_official(table, to_vlx(table, official))
    same = set(back) == set(official) and all(
        np.allclose(back[name], official[name], rtol=0, atol=1e-6) for name in official
    )
    return {"round_trip": 0.0 if same else np.inf}


def coca_task(case: Case) -> CocaTask:
    weights = case.config
    loss = CocaLoss(
        contrastive=weights["contrastive_loss_weight"], captioning=weights["caption_loss_weight"]
    )
    return CocaTask(model_config(case.config), loss)


def coca_batch(case: Case, image, text) -> dict:
    return {
        "image": nhwc(image),
        "text": text,
        "text_mask": (text != case.config["pad_id"]).astype(np.float32),
        "weight": np.ones(len(text), np.float32),
    }


def undecayed(table, params, patterns) -> set[str]:
    """Official names of the parameters that the patterns keep from decay."""
    flat = flatten_dict(params, sep="/")
    marks = {
        path: np.broadcast_to(any(re.fullmatch(p, path) for p in patterns), x.shape)
        for path, x in flat.items()
    }
    return {name for name, mark in to_official(table, marks).items() if np.all(mark)}
