"""VLMo's official settings as vlx model configs, and those that a checkpoint tells by itself."""

import re
from collections.abc import Mapping
from typing import Any

from vlx.errors import UserError
from vlx.interop.unilm_sizes import (
    check_expressible,
    grid_of,
    mlp_ratio,
    published_heads,
    side_of,
)
from vlx.layers.multiway import MultiwayConfig
from vlx.layers.relative import CROSS, SPECIAL, Grid, image_rows, table_rows
from vlx.models.vlmo_config import CONFIGS, VlmoConfig

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


PUBLISHED = tuple(CONFIGS.values())
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
            biases="qv" if arch["qkv_bias"] else "",
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


def write_config(c: VlmoConfig) -> dict[str, Any]:
    """The official settings of a model, as `read_config` takes them."""
    check_expressible(c.encoder)
    e, heads = c.encoder, set(c.heads)
    relative, absolute = next(pair for pair, name in POSITIONS.items() if name == c.positions)
    on = {
        "itm": "matching" in heads,
        "itc": "pair_contrastive" in heads,
        "mlm": "words" in heads and heads != {"words"},
        "textmlm": heads == {"words"} and not e.pair_layers,
        "vqa": "answers" in heads,
        "nlvr2": "truth" in heads,
        "irtr": "contrastive" in heads and "pair_contrastive" not in heads,
    }
    on["mlm"] |= heads == {"words"} and not on["textmlm"]
    return {
        "arch": {
            "patch_size": c.patch,
            "embed_dim": e.width,
            "depth": e.layers,
            "num_heads": e.heads,
            "mlp_ratio": mlp_ratio(e),
            "qkv_bias": bool(e.biases),
            "vlffn_start_layer_index": e.layers - e.pair_layers,
            "need_relative_position_embed": relative,
            "use_abs_pos_emb": absolute,
            "layer_scale_init_values": e.layer_scale or None,
        },
        "image_size": list(c.image_size),
        "max_text_len": c.text_length,
        "max_text_len_of_initckpt": c.longest,
        "vocab_size": c.vocabulary,
        "vqav2_label_size": c.answers,
        "loss_names": {name: int(wanted) for name, wanted in on.items()},
    }


def describe(state: Mapping[str, Any], like: Any = None) -> VlmoConfig:
    """The model whose tensors a file holds; images are square where nothing says otherwise.

    like: a config that may say what the file leaves open. Raises UserError for what stays open.
    """
    shape = {name: x.shape for name, x in state.items()}
    width, _, patch, _ = shape["transformer.patch_embed.proj.weight"]
    layers = _count(shape, r"transformer\.blocks\.(\d+)\.norm1\.weight")
    table = shape.get("relative_position_bias_table")
    heads = table[1] // layers if table else published_heads(width, layers, (like, *PUBLISHED))
    if table:
        grid, longest = _relative_sizes(shape, like)
    else:
        grid = grid_of(shape["transformer.pos_embed"][1] - 1, like)
        longest = CONFIGS["base"].longest
    return VlmoConfig(
        MultiwayConfig(
            width=width,
            layers=layers,
            heads=heads,
            hidden=shape["transformer.blocks.0.mlp_imag.fc1.bias"][0],
            pair_layers=_count(shape, r"transformer\.blocks\.(\d+)\.norm2_vl\.weight"),
            layer_scale=0.1 if "transformer.blocks.0.gamma_1" in shape else 0.0,
            biases="qv" if "transformer.blocks.0.attn.q_bias" in shape else "",
        ),
        image_size=(grid[0] * patch, grid[1] * patch),
        patch=patch,
        vocabulary=shape["text_embeddings.word_embeddings.weight"][0],
        text_length=_text_length(shape),
        positions=POSITIONS[bool(table), "transformer.pos_embed" in shape],
        longest=longest,
        heads=tuple(name for name, sign in SIGNS.items() if sign in shape),
        answers=shape.get(SIGNS["answers"], (CONFIGS["base"].answers,))[0],
    )


def _count(names: Mapping[str, Any], pattern: str) -> int:
    return sum(bool(re.fullmatch(pattern, name)) for name in names)


def _text_length(shape: Mapping[str, Any]) -> int:
    return shape["text_embeddings.position_embeddings.weight"][0]


def _relative_sizes(shape: Mapping[str, Any], like: Any) -> tuple[Grid, int]:
    """Patches, and the longest text, of a table of relative positions.

    An index array tells the patches. Where a file has none, published lengths are tried.
    """
    rows, length = shape["relative_position_bias_table"][0], _text_length(shape)
    if index := shape.get("relative_position_index"):
        grid = grid_of(index[0] - 1, like)
        return grid, (rows - image_rows(grid) - CROSS) // 2
    own = getattr(like, "longest", None)
    tried = [n for n in (own, CONFIGS["base"].longest, length) if n is not None and n >= length]
    for longest in tried:
        if side := side_of(rows - SPECIAL - CROSS - 2 * longest):
            return (side, side), longest
    if own is not None and table_rows(like.grid, own) == rows:
        return like.grid, own
    raise UserError(
        f"The table of relative positions has {rows} rows, which fits no square image and texts of "
        f"{' or '.join(map(str, dict.fromkeys(tried)))} tokens; name a model that says both, as "
        "--model=PRESET."
    )
