"""VLMo's official settings as vlx model configs, and those that a checkpoint tells by itself."""

import math
import re
from collections.abc import Mapping
from typing import Any

from vlx.errors import UserError
from vlx.layers.multiway import MultiwayConfig
from vlx.layers.relative import table_rows
from vlx.models.vlmo import CONFIGS, VlmoConfig

# Official losses and the heads that they make.
LOSSES = {
    "itc": ("contrastive", "pair_contrastive"),
    "irtr": ("contrastive",),
    "itm": ("matching",),
    "mlm": ("words",),
    "textmlm": ("words",),
    "vqa": ("answers",),
    "nlvr2": ("truth",),
}
# A tensor that only files with the head have.
SIGNS = {
    "contrastive": "itc_text_proj.fc.weight",
    "pair_contrastive": "itc_vl_text_proj.fc.weight",
    "matching": "itm_score.fc.weight",
    "words": "mlm_score.bias",
    "answers": "vqa_classifier.3.bias",
    "truth": "nlvr2_classifier.3.bias",
}


# (relative, absolute) -> what vlx calls it
POSITIONS = {
    (True, False): "relative",
    (False, True): "absolute",
    (True, True): "both",
    (False, False): "none",
}


def read_config(official: Mapping[str, Any]) -> VlmoConfig:
    """The model of official settings: `arch`, `image_size`, `max_text_len`, `loss_names`, ...

    A language stage (`textmlm`) has no experts for pairs.
    """
    arch, size = official["arch"], official["image_size"]
    losses = [name for name, on in official["loss_names"].items() if on]
    heads = dict.fromkeys(head for name in losses for head in LOSSES[name])
    start = arch["vlffn_start_layer_index"]
    pair_layers = 0 if "textmlm" in losses else max(0, arch["depth"] - start)
    positions = bool(arch["need_relative_position_embed"]), bool(arch["use_abs_pos_emb"])
    return VlmoConfig(
        MultiwayConfig(
            width=arch["embed_dim"],
            layers=arch["depth"],
            heads=arch["num_heads"],
            hidden=int(arch["embed_dim"] * arch["mlp_ratio"]),
            pair_layers=pair_layers,
            layer_scale=arch["layer_scale_init_values"] or 0.0,
            qv_bias=arch["qkv_bias"],
        ),
        image_size=(size, size) if isinstance(size, int) else tuple(size),
        patch=arch["patch_size"],
        vocabulary=official["vocab_size"],
        text_length=official["max_text_len"],
        positions=POSITIONS[positions],
        longest=official["max_text_len_of_initckpt"],
        heads=tuple(name for name in SIGNS if name in heads),
        answers=official["vqav2_label_size"],
    )


def describe(state: Mapping[str, Any]) -> VlmoConfig:
    """The model whose tensors a file holds; images are square.

    Raises UserError for widths of no published model, whose number of heads a file does not tell
    where it has no relative positions.
    """
    shape = {name: x.shape for name, x in state.items()}
    width, _, patch, _ = shape["transformer.patch_embed.proj.weight"]
    layers = _count(shape, r"transformer\.blocks\.(\d+)\.norm1\.weight")
    table = shape.get("relative_position_bias_table")
    heads = table[1] // layers if table else _published_heads(width, layers)
    length = shape["text_embeddings.position_embeddings.weight"][0]
    if table:
        longest = CONFIGS["base"].longest if length <= CONFIGS["base"].longest else length
        side = _side(table[0], longest)
    else:
        longest, side = CONFIGS["base"].longest, math.isqrt(shape["transformer.pos_embed"][1] - 1)
    answers = shape.get(SIGNS["answers"], (CONFIGS["base"].answers,))[0]
    return VlmoConfig(
        MultiwayConfig(
            width=width,
            layers=layers,
            heads=heads,
            hidden=shape["transformer.blocks.0.mlp_imag.fc1.bias"][0],
            pair_layers=_count(shape, r"transformer\.blocks\.(\d+)\.norm2_vl\.weight"),
            layer_scale=0.1 if "transformer.blocks.0.gamma_1" in shape else 0.0,
            qv_bias="transformer.blocks.0.attn.q_bias" in shape,
        ),
        image_size=(side * patch, side * patch),
        patch=patch,
        vocabulary=shape["text_embeddings.word_embeddings.weight"][0],
        text_length=length,
        positions=POSITIONS[bool(table), "transformer.pos_embed" in shape],
        longest=longest,
        heads=tuple(name for name, sign in SIGNS.items() if sign in shape),
        answers=answers,
    )


def _count(names: Mapping[str, Any], pattern: str) -> int:
    return sum(bool(re.fullmatch(pattern, name)) for name in names)


def _published_heads(width: int, layers: int) -> int:
    for config in CONFIGS.values():
        if (config.encoder.width, config.encoder.layers) == (width, layers):
            return config.encoder.heads
    raise UserError(
        f"A model of width {width} with {layers} layers is not a published one, so the number of "
        "its heads is unknown; give --model=PRESET or a model config."
    )


def _side(rows: int, longest: int) -> int:
    """Patches in a row of a square image whose table has so many rows."""
    side = (math.isqrt(rows - table_rows((1, 1), longest) + 1) + 1) // 2
    if table_rows((side, side), longest) != rows:
        raise UserError(
            f"The table of relative positions has {rows} rows, which fits no square image and "
            f"texts of {longest} tokens."
        )
    return side
