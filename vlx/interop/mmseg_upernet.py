"""Segmenters as mmsegmentation keeps them: a BEiT of unilm under UPerNet and a second head."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vlx.errors import UserError
from vlx.interop import unilm_beit
from vlx.interop.description import ConfigFile, Description
from vlx.interop.open_clip_blocks import PATCH_KERNEL, norm
from vlx.interop.pretrained import Pixels
from vlx.interop.table import Rule, Transform, below
from vlx.models.segmenter import CONFIGS, SegmenterConfig

PIXELS = "imagenet"  # of all published models
SIGN = "decode_head.conv_seg.weight"
BELOW = "backbone."
LAST_NORMS = ("norm", "class_norm")  # which no segmenter asks for

# Published sizes by the authors' names for their configs.
PRESETS = {
    "upernet_beitv2_base_12_512_slide_160k_ade20k": CONFIGS["base_v2"],
    "upernet_beitv2_large_24_512_slide_160k_ade20k": CONFIGS["large_v2"],
}

_DOUBLE = Transform(
    lambda w: (w.transpose(2, 3, 0, 1),),  # [D, D', 2, 2] to [2, 2, D, D']
    lambda k: (k.transpose(2, 3, 0, 1),),
)
# How many batches a norm has seen, which only an average over all of them would read.
_UNREAD = Transform(lambda x: (), lambda: (np.zeros((), np.int64),))


def table(c: SegmenterConfig) -> list[Rule]:
    """The rules of a model; counts of batches, which vlx has not, are written as zero."""
    backbone = [
        rule
        for rule in unilm_beit.table(c.backbone)
        if not any(path.partition("/")[0] in LAST_NORMS for path in rule.vlx_paths)
    ]
    rules = below("backbone", backbone)
    rules += _double("backbone.fpn1.0", "pyramid/double_0")
    if c.backbone.patch == 16:
        rules += _batch_norm("backbone.fpn1.1", "pyramid/norm")
        rules += _double("backbone.fpn1.3", "pyramid/double_0_again")
        rules += _double("backbone.fpn2.0", "pyramid/double_1")
    for n in range(len(c.scales)):
        pooled = f"decode_head.psp_modules.{n}"
        rules += _block(f"{pooled}.1", f"head/pooled_{n}")
    rules += _block("decode_head.bottleneck", "head/top")
    for n in range(len(c.after) - 1):
        rules += _block(f"decode_head.lateral_convs.{n}", f"head/lateral_{n}")
        rules += _block(f"decode_head.fpn_convs.{n}", f"head/smooth_{n}")
    rules += _block("decode_head.fpn_bottleneck", "head/fuse")
    rules += _classifier("decode_head.conv_seg", "head/classify/classifier")
    rules += _block("auxiliary_head.convs.0", "auxiliary/block")
    return rules + _classifier("auxiliary_head.conv_seg", "auxiliary/classify/classifier")


def _double(official: str, vlx: str) -> list[Rule]:
    kernel = Rule(f"{official}.weight", f"{vlx}/kernel", _DOUBLE)
    return [kernel, Rule(f"{official}.bias", f"{vlx}/bias")]


def _classifier(official: str, vlx: str) -> list[Rule]:
    kernel = Rule(f"{official}.weight", f"{vlx}/kernel", PATCH_KERNEL)
    return [kernel, Rule(f"{official}.bias", f"{vlx}/bias")]


def _block(official: str, vlx: str) -> list[Rule]:
    kernel = Rule(f"{official}.conv.weight", f"{vlx}/convolution/kernel", PATCH_KERNEL)
    return [kernel, *_batch_norm(f"{official}.bn", f"{vlx}/norm")]


def _batch_norm(official: str, vlx: str) -> list[Rule]:
    return [
        *norm(official, vlx),
        Rule(f"{official}.running_mean", f"{vlx}/mean"),
        Rule(f"{official}.running_var", f"{vlx}/variance"),
        Rule(f"{official}.num_batches_tracked", (), _UNREAD),
    ]


def read_config(official: Mapping[str, Any]) -> SegmenterConfig:
    """The model of the backbone's and the heads' arguments; what they leave out is off."""
    heads = ("num_classes", "vocab_size")
    backbone = {name: x for name, x in official.items() if name not in heads}
    channels = official["head_channels"]
    return SegmenterConfig(
        unilm_beit.read_config({"pixels": PIXELS} | backbone),
        classes=official["num_classes"],
        after=tuple(index + 1 for index in official["out_indices"]),
        channels=channels,
        auxiliary_channels=official.get("auxiliary_channels", channels),
        scales=tuple(official.get("pool_scales", SegmenterConfig.scales)),
        dropout=official.get("dropout_ratio", SegmenterConfig.dropout),
        epsilon=official.get("bn_eps", SegmenterConfig.epsilon),
    )


def write_config(c: SegmenterConfig) -> dict[str, Any]:
    """The arguments of a model, as `read_config` takes them."""
    return unilm_beit.write_config(c.backbone) | {
        "num_classes": c.classes,
        "out_indices": [n - 1 for n in c.after],
        "head_channels": c.channels,
        "auxiliary_channels": c.auxiliary_channels,
        "pool_scales": list(c.scales),
        "dropout_ratio": c.dropout,
        "bn_eps": c.epsilon,
    }


def default(config: SegmenterConfig) -> Description:
    """The model looks at pictures in windows."""
    return Description(
        config, Pixels(config.image_size, config.pixels, "shortest", "bilinear"), None
    )


CONFIG_FILE = ConfigFile(
    "mmseg_config.json",
    lambda official: default(read_config(official)),
    lambda description: write_config(description.config),
)


def describe(state: Mapping[str, Any], like: Any = None) -> SegmenterConfig:
    """The model whose tensors a file holds; `like` may say what they leave open.

    Raises UserError for what stays open.
    """
    known = [c for c in (like, *CONFIGS.values()) if isinstance(c, SegmenterConfig)]
    own = {name.removeprefix(BELOW): x for name, x in state.items() if name.startswith(BELOW)}
    layers = sum(name.startswith("blocks.") and name.endswith(".norm1.weight") for name in own)
    fitting = [c for c in known if c.backbone.encoder.layers == layers]
    if not fitting:
        raise UserError(
            f"The file does not tell which of its {layers} layers are read; read it by init_from "
            "of a run with that config.model.after."
        )
    pooled = [name for name in state if name.endswith(".1.conv.weight") and "psp_modules" in name]
    c = fitting[0]
    if len(pooled) != len(c.scales):
        raise UserError(
            f"The file pools at {len(pooled)} scales, which it does not name; read it by init_from "
            "of a run with that config.model.scales."
        )
    backbone = unilm_beit.describe(own, getattr(like, "backbone", None))
    return replace(
        c,
        backbone=replace(backbone, pixels=c.pixels),
        classes=len(state[SIGN]),
        channels=state["decode_head.bottleneck.conv.weight"].shape[0],
        auxiliary_channels=state["auxiliary_head.convs.0.conv.weight"].shape[0],
    )
