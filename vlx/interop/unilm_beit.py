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
from vlx.models.beit import CONFIGS, Aggregation, BeitConfig

SHARED, EXTRA = "rel_pos_bias", "cls_pt_layers"
TABLE, INDEX = "relative_position_bias_table", "relative_position_index"
# Options of the official constructor and the positions that they make.
OPTIONS = {
    "use_abs_pos_emb": "absolute",
    "use_rel_pos_bias": "relative",
    "use_shared_rel_pos_bias": "shared_relative",
}


def table(c: BeitConfig) -> list[Rule]:
    """The rules of a model; index arrays, which vlx computes, are among them."""
    layer, a = "blocks.{layer}", c.aggregation
    cut = a.after if a.layers else 0
    rules = [
        Rule("patch_embed.proj.weight", "image/patches/projection/kernel", PATCH_KERNEL),
        Rule("patch_embed.proj.bias", "image/patches/projection/bias"),
        Rule("cls_token", "image/class_token", blocks.ONLY),
    ]
    rules += blocks.encoder(layer, c.encoder, {"image": ""}, cut)
    if "absolute" in c.positions:
        rules.append(Rule("pos_embed", "image/positions", blocks.ROWS))
    if "relative" in c.positions:
        for path, span in blocks.stacks(c.encoder, cut).items():
            rules.append(Rule(f"{layer}.attn.{TABLE}", f"{path}/relative/embedding", span=span))
        rules += _indices("blocks", c.encoder.layers, c.grid)
    if "shared_relative" in c.positions:
        rules.append(Rule(f"{SHARED}.{TABLE}", "relative/embedding"))
        rules.append(computed(f"{SHARED}.{INDEX}", image_index(c.grid)))
    if c.codes:
        rules.append(Rule("mask_token", "image/mask_token", blocks.ONLY))
        rules += norm("norm", "norm") + linear("lm_head", "code_head")
        return rules + (_aggregation(c) if a.layers else [])
    rules += norm("fc_norm", "class_norm") if c.mean_pooling else norm("norm", "norm")
    return rules + linear("head", "class_head") if c.classes else rules


def _aggregation(c: BeitConfig) -> list[Rule]:
    """The layers and, if it has its own, the head of BEiT v2's second prediction."""
    official, path = f"{EXTRA}.{{layer}}", "aggregation/layers"
    rules = blocks.stack(official, path, c.encoder, {"image": ""})
    if "relative" in c.positions:
        rules.append(Rule(f"{official}.attn.{TABLE}", f"{path}/relative/embedding"))
        rules += _indices(EXTRA, c.aggregation.layers, c.grid)
    if c.aggregation.own_head:
        rules += norm("cls_pt_norm", "aggregation_norm")
        rules += linear("cls_pt_lm_head", "aggregation_head")
    return rules


def _indices(layers: str, number: int, grid: Grid) -> list[Rule]:
    index = image_index(grid)
    return [computed(f"{layers}.{i}.attn.{INDEX}", index) for i in range(number)]


def read_config(official: Mapping[str, Any]) -> BeitConfig:
    """The model of the official constructor's arguments; what they leave out is off.

    `pixels`, which names their statistics, is an addition of `write_config`.
    """
    size = official["img_size"]
    return BeitConfig(
        MultiwayConfig(
            width=official["embed_dim"],
            layers=official["depth"],
            heads=official["num_heads"],
            hidden=int(official["embed_dim"] * official["mlp_ratio"]),
            experts=("image",),
            layer_scale=official.get("init_values") or 0.0,
            epsilon=official.get("norm_eps", MultiwayConfig.epsilon),
            biases="qv" if official.get("qkv_bias") else "",
        ),
        image_size=(size, size) if isinstance(size, int) else tuple(size),
        patch=official["patch_size"],
        channels=official.get("in_chans", 3),
        positions=tuple(name for option, name in OPTIONS.items() if official.get(option)),
        codes=official.get("vocab_size", 0),
        classes=official.get("num_classes", 0),
        mean_pooling=official.get("use_mean_pooling", True),
        aggregation=_read_aggregation(official),
        pixels=official.get("pixels", BeitConfig.pixels),
    )


def _read_aggregation(official: Mapping[str, Any]) -> Aggregation:
    if not {"early_layers", "head_layers"} & set(official):
        return Aggregation()
    return Aggregation(
        official.get("head_layers", 2),  # the official defaults
        official.get("early_layers", 6),
        own_head=not official.get("shared_lm_head", True),
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
        "pixels": c.pixels,
    }
    settings |= {option: name in c.positions for option, name in OPTIONS.items()}
    if c.codes:
        a = c.aggregation
        extra = {"early_layers": a.after, "head_layers": a.layers, "shared_lm_head": not a.own_head}
        return settings | {"vocab_size": c.codes} | (extra if a.layers else {})
    return settings | {"num_classes": c.classes, "use_mean_pooling": c.mean_pooling}


def describe(state: Mapping[str, Any], like: Any = None) -> BeitConfig:
    """The model whose tensors a file holds; images are square where nothing says otherwise.

    like: a config that may say what the file leaves open. Raises UserError for what stays open.
    """
    shape = {name: x.shape for name, x in state.items()}
    width, channels, patch, _ = shape["patch_embed.proj.weight"]
    layers = _count(shape, "blocks")
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
        aggregation=_describe_aggregation(shape, layers, like),
        pixels=getattr(like, "pixels", BeitConfig.pixels),
    )


def _describe_aggregation(names: Collection[str], layers: int, like: Any) -> Aggregation:
    """Of a file with so many layers; where its patches come from stands in no file."""
    extra = _count(names, EXTRA)
    if not extra:
        return Aggregation()
    for c in (like, *CONFIGS.values()):
        a = getattr(c, "aggregation", Aggregation())
        if a.layers and c.encoder.layers == layers:
            return Aggregation(extra, a.after, own_head="cls_pt_norm.weight" in names)
    raise UserError(
        f"The file does not tell after which of its {layers} layers patches are aggregated; read "
        "it by init_from of a run with that config.model.aggregation."
    )


def _count(names: Collection[str], layers: str) -> int:
    """How many layers of that name there are."""
    return sum(bool(re.fullmatch(rf"{layers}\.\d+\.norm1\.weight", name)) for name in names)


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
