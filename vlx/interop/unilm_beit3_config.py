"""What BEiT-3's official code and files say of a model, and what they leave to their names."""

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from vlx.data import TokenizerConfig
from vlx.errors import UserError
from vlx.interop.description import ConfigFile, Description
from vlx.interop.pretrained import Pixels
from vlx.interop.unilm_beit3 import PREFIX
from vlx.interop.unilm_sizes import grid_of, published_heads
from vlx.layers.multiway import MultiwayConfig
from vlx.models.beit3_config import CONFIGS, RESERVED, Beit3Config

_log = logging.getLogger(__name__)

EMBEDDING = "text_embed.weight"
# A tensor that only this head has; of SIZED heads its length is the number that they tell apart.
SIGNS = {
    "contrastive": "vision_head.weight",
    "words": "text_head.bias",
    "codes": "image_head.bias",
    "captions": "mlm_head.bias",
    "classes": "head.bias",
    "answers": "head.3.bias",
    "truth": "head.dense2.bias",
}
SIZED = ("codes", "classes", "answers")


def default(config: Beit3Config) -> Description:
    """What the official code takes."""
    statistics = "imagenet" if "classes" in config.heads else "inception"
    tokenizer = TokenizerConfig(name="xlm_roberta", length=min(64, config.text_length))
    return Description(config, Pixels(config.image_size, statistics, "squash"), tokenizer)


def prefix_of(names: Collection[str]) -> str:
    """What stands before the names of the encoder: nothing in a file of it alone."""
    return "" if EMBEDDING in names else PREFIX


def knows(names: Collection[str]) -> bool:
    """Whether these are the tensors of a BEiT-3 in either layout."""
    return bool({EMBEDDING, f"{PREFIX}{EMBEDDING}"} & set(names))


def read_config(official: Mapping[str, Any], heads: tuple[str, ...] = ()) -> Beit3Config:
    """The model of the official encoder's arguments, with these heads unless it names its own."""
    size, preset = official["img_size"], CONFIGS["base"]
    apart = official["multiway"]
    encoder = replace(
        preset.encoder,
        width=official["encoder_embed_dim"],
        layers=official["encoder_layers"],
        heads=official["encoder_attention_heads"],
        hidden=official["encoder_ffn_embed_dim"],
        apart=apart,
        pair_layers=0 if apart else official.get("vl_layers", 0),
        drop_path=official.get("drop_path_rate", 0.0),
    )
    classes = official.get("num_classes", 0)
    return replace(
        preset,
        encoder=encoder,
        image_size=(size, size) if isinstance(size, int) else tuple(size),
        patch=official["patch_size"],
        vocabulary=official["vocab_size"],
        text_length=official.get("max_source_positions", 1024) - RESERVED,
        heads=tuple(official.get("heads", heads)),
        codes=official.get("num_codes", preset.codes),
        classes=official.get("classes", classes or preset.classes),
        answers=official.get("answers", classes or preset.answers),
        pad=official.get("pad", preset.pad),
        mask=official.get("mask", preset.mask),
        final_norm=official["normalize_output"],
    )


def write_config(c: Beit3Config) -> dict[str, Any]:
    """The official encoder's arguments, and what its code has elsewhere, as `read_config` takes it.

    Raises UserError for a model that the official code cannot build.
    """
    e, preset = c.encoder, CONFIGS["base"].encoder
    for name in ("inner_norm", "epsilon", "biases", "layer_scale"):
        if getattr(e, name) != getattr(preset, name):
            raise UserError(
                f"unilm has no counterpart of this model: encoder.{name}={getattr(e, name)} is "
                f"always {getattr(preset, name)} there."
            )
    return {
        "img_size": list(c.image_size),
        "patch_size": c.patch,
        "vocab_size": c.vocabulary,
        "multiway": e.apart,
        "normalize_output": c.final_norm,
        "encoder_embed_dim": e.width,
        "encoder_attention_heads": e.heads,
        "encoder_ffn_embed_dim": e.hidden,
        "encoder_layers": e.layers,
        "max_source_positions": c.text_length + RESERVED,
        "vl_layers": e.pair_layers,
        "heads": list(c.heads),
        "num_codes": c.codes,
        "classes": c.classes,
        "answers": c.answers,
        "pad": c.pad,
        "mask": c.mask,
    }


CONFIG_FILE = ConfigFile(
    "unilm_config.json",
    lambda official: default(read_config(official)),
    lambda description: write_config(description.config),
)


def describe(state: Mapping[str, Any], like: Any = None) -> Beit3Config:
    """The model whose tensors a file holds; images are square where nothing says otherwise.

    like: a config that may say what the file leaves open. Raises UserError for what stays open.
    """
    shape = {name.removeprefix(PREFIX): x.shape for name, x in state.items()}
    apart = "encoder.layer_norm.A.weight" in shape or "encoder.embed_positions.A.weight" in shape
    encoder = "encoder." if apart else ""
    image, text = (
        f"{encoder}embed_positions.{kind}.weight" if apart else f"embed_positions_{kind}.weight"
        for kind in (("A", "B") if apart else ("V", "L"))
    )
    if missing := {image, text, "vision_embed.proj.weight"} - set(shape):
        raise UserError(f"The file lacks {', '.join(sorted(missing))} of a BEiT-3.")
    width, _, patch, _ = shape["vision_embed.proj.weight"]
    first = "A" if apart else "V"
    layers = _count(shape, rf"{re.escape(encoder)}layers\.\d+\.final_layer_norm\.{first}\.weight")
    pair_layers = _count(shape, r"layers\.\d+\.final_layer_norm\.VL\.weight")
    grid = grid_of(shape[image][0] - RESERVED - 1, like)
    heads = tuple(head for head, sign in SIGNS.items() if sign in shape)
    preset = like if isinstance(like, Beit3Config) else CONFIGS["base"]
    sizes = {name: shape[SIGNS[name]][0] for name in SIZED if name in heads}
    return Beit3Config(
        MultiwayConfig(
            width=width,
            layers=layers,
            heads=published_heads(width, layers, (like, *CONFIGS.values())),
            hidden=shape[f"{encoder}layers.0.ffn.{first}.fc1.bias"][0],
            experts=preset.encoder.experts,
            pair_layers=pair_layers,
            apart=apart,
            inner_norm=f"{encoder}layers.0.ffn.{first}.ffn_layernorm.weight" in shape,
            epsilon=preset.encoder.epsilon,
            biases=preset.encoder.biases,
            drop_together=preset.encoder.drop_together,
            truncated=preset.encoder.truncated,
        ),
        image_size=(grid[0] * patch, grid[1] * patch),
        patch=patch,
        vocabulary=shape[EMBEDDING][0],
        text_length=shape[text][0] - RESERVED,
        heads=heads,
        pad=preset.pad,
        mask=preset.mask,
        final_norm=any(re.match(rf"{re.escape(encoder)}layer_norm\.", name) for name in shape),
        **sizes,
    )


def clean(state: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The tensors of a state dict without those beside the encoder that no head has.

    The released files of pre-training hold two heads more, whose names are not published; what is
    left is logged.
    """
    left = [name for name in state if name not in shapes and not name.startswith(PREFIX)]
    if left:
        _log.warning("left, since no head of BEiT-3 has these names: %s", ", ".join(sorted(left)))
    return {name: x for name, x in state.items() if name not in left}


def _count(names: Mapping[str, Any], pattern: str) -> int:
    return sum(bool(re.fullmatch(pattern, name)) for name in names)
