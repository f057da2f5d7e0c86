"""DINO's Vision Transformers (arXiv 2104.14294), a teacher of VQ-KD, under timm's names."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from vlx.errors import UserError
from vlx.interop import unilm_beit
from vlx.interop.table import Rule
from vlx.layers.multiway import MultiwayConfig
from vlx.models.beit import BeitConfig

HEAD = 64  # numbers of a head in every published size


def _published(width: int, layers: int, patch: int) -> BeitConfig:
    encoder = MultiwayConfig(
        width, layers, width // HEAD, 4 * width, experts=("image",), biases="qkv"
    )
    return BeitConfig(
        encoder,
        patch=patch,
        positions=("absolute",),
        codes=0,
        pixels="imagenet",
        mean_pooling=False,
    )


PRESETS = {
    f"dino_vit{name}{patch}": _published(width, 12, patch)
    for name, width in (("s", 384), ("b", 768))
    for patch in (16, 8)
}


def knows(names: Collection[str]) -> bool:
    """A Transformer with all three biases and no head."""
    return {"blocks.0.attn.qkv.bias", "norm.weight"} <= set(names) and "head.weight" not in names


def table(c: BeitConfig) -> list[Rule]:
    """Raises UserError for another model than an encoder alone, with absolute positions."""
    if c.codes or c.classes or c.encoder.biases != "qkv" or c.positions != ("absolute",):
        raise UserError(
            "DINO's format holds an encoder without head, with absolute positions and all biases, "
            "and this model is another; take --format=unilm_beit."
        )
    return unilm_beit.table(c)


def describe(state: Mapping[str, Any], like: Any = None) -> BeitConfig:
    """The model whose tensors a file holds; `like` may tell its heads and its grid."""
    width = state["norm.weight"].shape[0]
    layers = sum(name.endswith(".norm1.weight") for name in state)
    encoder = getattr(like, "encoder", None)
    told = (getattr(encoder, "width", 0), getattr(encoder, "layers", 0)) == (width, layers)
    if not told and width % HEAD == 0:
        like = _published(width, layers, 16)
    return replace(unilm_beit.describe(state, like), pixels="imagenet")
