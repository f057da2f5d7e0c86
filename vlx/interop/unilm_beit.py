"""BEiT's checkpoints: self-supervised (`lm_head`), with classes (`head`), or without a head."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from vlx.errors import UserError
from vlx.interop import unilm_blocks as blocks
from vlx.interop.open_clip_blocks import PATCH_KERNEL, linear, norm
from vlx.interop.table import Rule, computed
from vlx.interop.unilm_sizes import (
    check_expressible,
    grid_of,
    mlp_ratio,
    published_heads,
    side_of,
)
from vlx.layers.multiway import MultiwayConfig
from vlx.layers.relative import SPECIAL, Grid, image_index, image_rows
from vlx.models.beit import CONFIGS, BeitConfig

SHARED = "rel_pos_bias"
TABLE, INDEX = "relative_position_bias_table", "relative_position_index"
# Options of the official constructor and the positions that they make.
OPTIONS = {
    "use_abs_pos_emb": "absolute",
    "use_rel_pos_bias": "relative",
    "use_shared_rel_pos_bias": "shared_relative",
}


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
    return rules + linear("head", "class_head") if c.classes else rules


def read_config(official: Mapping[str, Any]) -> BeitConfig:
    """The model of the official constructor's arguments; what they leave out is off."""
    size = official["img_size"]
    return BeitConfig(
        MultiwayConfig(
            width=official["embed_dim"],
            layers=official["depth"],
            heads=official["num_heads"],
            hidden=int(official["embed_dim"] * official["mlp_ratio"]),
            experts=("image",),
            layer_scale=official.get("init_values") or 0.0,
            biases="qv" if official.get("qkv_bias") else "",
        ),
        image_size=(size, size) if isinstance(size, int) else tuple(size),
        patch=official["patch_size"],
        channels=official.get("in_chans", 3),
        positions=tuple(name for option, name in OPTIONS.items() if official.get(option)),
        codes=official.get("vocab_size", 0),
        classes=official.get("num_classes", 0),
        mean_pooling=official.get("use_mean_pooling", True),
    )


def write_config(c: BeitConfig) -> dict[str, Any]:
    """The official constructor's arguments of a model, as `read_config` takes them."""
    check_expressible(c.encoder)
    e = c.encoder
    settings = {
        "img_size": list(c.image_size),
        "patch_size": c.patch,
        "in_chans": c.channels,
        "embed_dim": e.width,
        "depth": e.layers,
        "num_heads": e.heads,
        "mlp_ratio": mlp_ratio(e),
        "qkv_bias": bool(e.biases),
        "init_values": e.layer_scale or None,
    }
    settings |= {option: name in c.positions for option, name in OPTIONS.items()}
    if c.codes:
        return settings | {"vocab_size": c.codes}
    return settings | {"num_classes": c.classes, "use_mean_pooling": c.mean_pooling}


def describe(state: Mapping[str, Any], like: Any = None) -> BeitConfig:
    """The model whose tensors a file holds; images are square where nothing says otherwise.

    like: a config that may say what the file leaves open. Raises UserError for what stays open.
    """
    shape = {name: x.shape for name, x in state.items()}
    width, channels, patch, _ = shape["patch_embed.proj.weight"]
    layers = sum(bool(re.fullmatch(r"blocks\.\d+\.norm1\.weight", name)) for name in shape)
    signs = {
        "absolute": "pos_embed",
        "relative": f"blocks.0.attn.{TABLE}",
        "shared_relative": f"{SHARED}.{TABLE}",
    }
    positions = tuple(name for name, sign in signs.items() if sign in shape)
    tables = [shape[signs[name]] for name in positions if name != "absolute"]
    if tables:
        heads, side = tables[0][1], side_of(tables[0][0] - SPECIAL)
        grid = (side, side) if side else _grid_like(tables[0][0], like)
    elif positions:
        heads = published_heads(width, layers, (like, *CONFIGS.values()))
        grid = grid_of(shape["pos_embed"][1] - 1, like)
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
            biases=_biases(shape),
        ),
        image_size=(grid[0] * patch, grid[1] * patch),
        patch=patch,
        channels=channels,
        positions=positions,
        codes=shape.get("lm_head.bias", (0,))[0],
        classes=shape.get("head.bias", (0,))[0],
        mean_pooling="norm.weight" not in shape or "lm_head.bias" in shape,
        pixels=getattr(like, "pixels", BeitConfig.pixels),
    )


def _biases(names: Collection[str]) -> str:
    if "blocks.0.attn.qkv.bias" in names:
        return "qkv"
    return "qv" if "blocks.0.attn.q_bias" in names else ""


def _grid_like(rows: int, like: Any) -> Grid:
    """The patches of an oblong image, which only a config tells."""
    grid = getattr(like, "grid", None)
    if grid and image_rows(grid) == rows:
        return grid
    raise UserError(
        f"The table of relative positions has {rows} rows, which fits no square image; read it by "
        "init_from of a run with that config.model.image_size."
    )
