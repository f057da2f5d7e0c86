"""VQ-KD's checkpoints: BEiT v2's visual tokenizer, with or without the decoder of its training."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vlx.errors import UserError
from vlx.interop import unilm_beit
from vlx.interop.description import ConfigFile, Description
from vlx.interop.open_clip_blocks import linear
from vlx.interop.pretrained import Pixels
from vlx.interop.table import Rule, Transform, below
from vlx.models.beit import BeitConfig
from vlx.models.vqkd import CONFIGS, VqkdConfig

CODEBOOK = "quantize.embedding.weight"
FOREIGN = ("teacher", "loss", "scaling")  # what the official loader drops, by the name's start
# The official pre-processing and the statistics that it means for pixels in 0..255.
PROCESSES = {"default": "inception", "imagenet_norm": "imagenet"}

PRESETS = {
    f"vqkd_encoder_base_decoder_{name}": CONFIGS[preset]
    for name, preset in (
        ("3x768x12_clip", "base"),
        ("1x768x12_clip", "base_shallow"),
        ("1x768x12_dino", "base_shallow_dino"),
    )
}


def table(c: VqkdConfig) -> list[Rule]:
    """The rules of a model. Official counts, which only tell dead codes, are written as zero."""
    rules = below("encoder", unilm_beit.table(c.encoder_tower))
    rules += _head("encode_task_layer", "code_head")
    names = ("weight", "embed_avg", "cluster_size", "initted")
    codebook = tuple(f"quantize.embedding.{name}" for name in names)
    rules.append(Rule((*codebook, "quantize.cluster_size"), "codebook", _CODES))
    if c.features:
        rules += below("decoder", unilm_beit.table(c.decoder_tower))
        rules += _head("decode_task_layer", "feature_head")
    return rules


def _with_statistics(codes: Any) -> tuple[Any, ...]:
    uses = np.zeros(len(codes), np.float32)
    return codes, codes, uses, np.ones(1, np.float32), uses


_CODES = Transform(lambda codes, *statistics: (codes,), _with_statistics)


def _head(official: str, vlx: str) -> list[Rule]:
    hidden, output = linear(f"{official}.0", f"{vlx}/hidden"), linear(f"{official}.2", vlx)
    return hidden + [replace(x, vlx=x.vlx.replace(vlx, f"{vlx}/output")) for x in output]


def clean(state: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Without the teacher; with counts of zero where a file lacks those of its training."""
    kept = {name: x for name, x in state.items() if not name.startswith(FOREIGN)}
    fill = {name: x for name, x in shapes.items() if name.startswith("quantize.")}
    return {name: np.zeros(x, np.float32) for name, x in fill.items()} | kept


def read_config(official: Mapping[str, Any]) -> VqkdConfig:
    """The model of the official constructor's arguments, and of `process_type` if it is there."""
    encoder, decoder = (
        unilm_beit.read_config({"norm_eps": official.get("norm_eps", 1e-6), **official[part]})
        for part in ("encoder", "decoder")
    )
    process = official.get("process_type", "default")
    if process not in PROCESSES:
        raise UserError(
            f"process_type={process!r} leaves pixels as they are; vlx knows {', '.join(PROCESSES)}."
        )
    return VqkdConfig(
        encoder.encoder,
        decoder.encoder,
        encoder.image_size,
        encoder.patch,
        codes=official["n_codes"],
        code_width=official["code_dim"],
        features=official["decoder_out_dim"],
        pixels=PROCESSES[process],
    )


def write_config(c: VqkdConfig) -> dict[str, Any]:
    """The official constructor's arguments of a model, as `read_config` takes them."""
    processes = {statistics: process for process, statistics in PROCESSES.items()}
    if c.pixels not in processes:
        raise UserError(
            f"VQ-KD's official code has no pixels={c.pixels!r}; it has {', '.join(processes)}."
        )
    return {
        "encoder": unilm_beit.write_config(c.encoder_tower),
        "decoder": unilm_beit.write_config(c.decoder_tower),
        "n_codes": c.codes,
        "code_dim": c.code_width,
        "decoder_out_dim": c.features,
        "process_type": processes[c.pixels],
    }


def describe(state: Mapping[str, Any], like: Any = None) -> VqkdConfig:
    """The model whose tensors a file holds; `like` may tell its heads and the form of its images.

    Raises UserError for what stays open.
    """
    known = [c for c in (like, *CONFIGS.values()) if isinstance(c, VqkdConfig)]
    encoder = _tower(state, "encoder", [c.encoder_tower for c in known])
    codes, width = state[CODEBOOK].shape
    has_decoder = "decoder.cls_token" in state
    decoder = encoder
    if has_decoder:
        decoder = _tower(state, "decoder", [c.decoder_tower for c in known])
    return VqkdConfig(
        encoder.encoder,
        decoder.encoder,
        encoder.image_size,
        encoder.patch,
        codes=codes,
        code_width=width,
        features=len(state["decode_task_layer.2.bias"]) if has_decoder else 0,
        pixels=getattr(like, "pixels", VqkdConfig.pixels),
    )


def _tower(state: Mapping[str, Any], name: str, known: Iterable[BeitConfig]) -> BeitConfig:
    own = {x.removeprefix(f"{name}."): y for x, y in state.items() if x.startswith(f"{name}.")}
    width = own["cls_token"].shape[2]
    layers = sum(bool(re.fullmatch(r"blocks\.\d+\.norm1\.weight", x)) for x in own)
    like = (c for c in known if (c.encoder.width, c.encoder.layers) == (width, layers))
    return unilm_beit.describe(own, next(like, None))


def default(config: VqkdConfig) -> Description:
    """The middle of a picture, as the official code cuts it."""
    pixels = Pixels(config.image_size, config.pixels, "shortest", "bicubic", part=224 / 256)
    return Description(config, pixels, None)


CONFIG_FILE = ConfigFile(
    "unilm_config.json",
    lambda official: default(read_config(official)),
    lambda description: write_config(description.config),
)
