"""BEiT's checkpoints: self-supervised (`lm_head`) and fine-tuned to classes (`head`)."""

import math
import re
from collections.abc import Mapping
from typing import Any

from vlx.errors import UserError
from vlx.interop import unilm_blocks as blocks
from vlx.interop.open_clip_blocks import PATCH_KERNEL, linear, norm
from vlx.interop.table import Rule, computed
from vlx.layers.multiway import MultiwayConfig
from vlx.layers.relative import SPECIAL, image_index
from vlx.models.beit import CONFIGS, BeitConfig

SHARED = "rel_pos_bias"
TABLE, INDEX = "relative_position_bias_table", "relative_position_index"


def table(c: BeitConfig) -> list[Rule]:
    """The rules of a model; index arrays, which vlx computes, are among them."""
    layer = "blocks.{layer}"
    rules = [
        Rule("patch_embed.proj.weight", "image/patches/projection/kernel", PATCH_KERNEL),
        Rule("patch_embed.proj.bias", "image/patches/projection/bias"),
        Rule("cls_token", "image/class_token", blocks.ONLY),
    ]
    rules += blocks.encoder(layer, c.encoder, {"image": ""})
    if "absolute" in c.positions:
        rules.append(Rule("pos_embed", "image/positions", blocks.ROWS))
    if "relative" in c.positions:
        path = "encoder/lower/layers/relative/embedding"
        rules.append(Rule(f"{layer}.attn.{TABLE}", path))
        index = image_index(c.grid)
        for i in range(c.encoder.layers):
            rules.append(computed(f"blocks.{i}.attn.{INDEX}", index))
    if "shared_relative" in c.positions:
        rules.append(Rule(f"{SHARED}.{TABLE}", "relative/embedding"))
        rules.append(computed(f"{SHARED}.{INDEX}", image_index(c.grid)))
    if c.codes:
        rules.append(Rule("mask_token", "image/mask_token", blocks.ONLY))
        return rules + norm("norm", "norm") + linear("lm_head", "code_head")
    rules += norm("fc_norm", "class_norm") if c.mean_pooling else norm("norm", "norm")
    return rules + linear("head", "class_head")


def clean(state: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The tensors of a file, with the index arrays of its state dict also where it has none."""
    state = {name.removeprefix("module."): x for name, x in state.get("model", state).items()}
    for name in [name for name in state if name.endswith(TABLE)]:
        index = name.replace(TABLE, INDEX)
        state.setdefault(index, image_index((side := _side(state[name]), side)))
    return state


def read_config(official: Mapping[str, Any]) -> BeitConfig:
    """The model of the official constructor's arguments; what they leave out is off."""
    size = official["img_size"]
    options = ("use_abs_pos_emb", "use_rel_pos_bias", "use_shared_rel_pos_bias")
    positions = zip(options, ("absolute", "relative", "shared_relative"), strict=True)
    return BeitConfig(
        MultiwayConfig(
            width=official["embed_dim"],
            layers=official["depth"],
            heads=official["num_heads"],
            hidden=int(official["embed_dim"] * official["mlp_ratio"]),
            experts=("image",),
            layer_scale=official.get("init_values") or 0.0,
            qv_bias=official.get("qkv_bias", False),
        ),
        image_size=(size, size) if isinstance(size, int) else tuple(size),
        patch=official["patch_size"],
        positions=tuple(name for option, name in positions if official.get(option)),
        codes=official.get("vocab_size", 0),
        classes=official.get("num_classes", 0),
        mean_pooling=official.get("use_mean_pooling", True),
    )


def describe(state: Mapping[str, Any]) -> BeitConfig:
    """The model whose tensors a file holds; images are square.

    Raises UserError where neither positions nor a published size tell what a file does not say.
    """
    shape = {name: x.shape for name, x in state.items()}
    width, _, patch, _ = shape["patch_embed.proj.weight"]
    layers = sum(bool(re.fullmatch(r"blocks\.\d+\.norm1\.weight", name)) for name in shape)
    signs = {
        "absolute": "pos_embed",
        "relative": f"blocks.0.attn.{TABLE}",
        "shared_relative": f"{SHARED}.{TABLE}",
    }
    positions = tuple(name for name, sign in signs.items() if sign in shape)
    tables = [state[signs[name]] for name in positions if name != "absolute"]
    if tables:
        side, heads = _side(tables[0]), tables[0].shape[1]
    elif positions:
        side, heads = math.isqrt(shape["pos_embed"][1] - 1), _published_heads(width, layers)
    else:
        raise UserError("The file has no positions of any kind, so its image size is unknown.")
    return BeitConfig(
        MultiwayConfig(
            width=width,
            layers=layers,
            heads=heads,
            hidden=shape["blocks.0.mlp.fc1.bias"][0],
            experts=("image",),
            layer_scale=0.1 if "blocks.0.gamma_1" in shape else 0.0,
            qv_bias="blocks.0.attn.q_bias" in shape,
        ),
        image_size=(side * patch, side * patch),
        patch=patch,
        positions=positions,
        codes=shape.get("lm_head.bias", (0,))[0],
        classes=shape.get("head.bias", (0,))[0],
        mean_pooling="fc_norm.weight" in shape,
    )


def _side(table: Any) -> int:
    """Patches in a row of a square image with such a table."""
    return (math.isqrt(len(table) - SPECIAL) + 1) // 2


def _published_heads(width: int, layers: int) -> int:
    for config in CONFIGS.values():
        if (config.encoder.width, config.encoder.layers) == (width, layers):
            return config.encoder.heads
    raise UserError(
        f"A BEiT of width {width} with {layers} layers is not a published one, so the number of "
        "its heads is unknown."
    )
