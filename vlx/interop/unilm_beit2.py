"""BEiT v2's checkpoints: those of BEiT, with pixels of their own and perhaps aggregated patches."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from vlx.interop import unilm_beit
from vlx.models.beit import CONFIGS, Aggregation, BeitConfig

PIXELS = "imagenet"  # of all published models
# Registered sizes: what the names of unilm's constructors say, and what is built by them.
_CODES = {"base": (192, 224, 256), "large": (224,), "24x544": (224,), "huge": (224,)}
_AGGREGATED = ("base", "large", "24x544")
_CLASSES = {
    "base": (224, 256, 384),
    "large": (224, 384, 512),
    "24x544": (224,),
    "huge": (224,),
    "giant": (224,),
}


def _presets() -> dict[str, BeitConfig]:
    def name(size: str, side: int) -> str:
        return f"beit_{size}_patch{CONFIGS[f'{size}_v2'].patch}_{side}"

    def build(preset: str, side: int, **changes) -> BeitConfig:
        return replace(CONFIGS[preset], image_size=(side, side), **changes)

    codes = {
        f"{name(size, side)}_8k_vocab": build(f"{size}_v2", side, aggregation=Aggregation())
        for size, sides in _CODES.items()
        for side in sides
    }
    aggregated = {f"{name(x, 224)}_8k_vocab_cls_pt": CONFIGS[f"{x}_v2"] for x in _AGGREGATED}
    classes = {
        name(size, side): build(f"{size}_v2_1k", side)
        for size, sides in _CLASSES.items()
        for side in sides
    }
    return codes | aggregated | classes


PRESETS = _presets()


def knows(names: Collection[str]) -> bool:
    """Only files of pre-training with aggregated patches differ in names from those of BEiT."""
    return any(name.startswith(f"{unilm_beit.EXTRA}.") for name in names)


def read_config(official: Mapping[str, Any]) -> BeitConfig:
    """The model of the official constructor's arguments; what they leave out is off."""
    return unilm_beit.read_config({"pixels": PIXELS} | dict(official))


def describe(state: Mapping[str, Any], like: Any = None) -> BeitConfig:
    """The model whose tensors a file holds, as `unilm_beit.describe` tells it."""
    pixels = getattr(like, "pixels", PIXELS)
    return replace(unilm_beit.describe(state, like), pixels=pixels)
