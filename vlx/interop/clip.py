"""CLIP checkpoints: OpenAI's names, which open_clip shares, or the text tower under `text.*`."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from vlx.errors import UserError
from vlx.interop import open_clip_blocks as blocks
from vlx.interop.table import Rule
from vlx.layers.text import TextConfig
from vlx.models.clip import CONFIGS, ClipConfig

OPENAI = "input_resolution"  # a name that only OpenAI's own files have


def _quick(tower: Any) -> Any:
    return replace(tower, encoder=replace(tower.encoder, activation="quick_gelu"))


# open_clip's names: OpenAI's weights, and some others, were trained with another activation.
PRESETS = CONFIGS | {
    f"{name}-quickgelu": replace(c, vision=_quick(c.vision), text=_quick(c.text))
    for name, c in CONFIGS.items()
}


def table(config: ClipConfig, text_prefix: str = "") -> list[Rule]:
    """`text_prefix` is "text." for files with a separate text tower."""
    rules = blocks.vision(config.vision, config.embedding)
    rules += blocks.any_text(config.text, text_prefix)
    return rules + blocks.scalars(config.logit_bias is not None)


def table_for(config: ClipConfig, names: Collection[str] = ()) -> list[Rule]:
    """The table of a file with these names; without any, of one that open_clip would write.

    Raises UserError for OpenAI's weights under a config with another activation than theirs.
    """
    if OPENAI in names and config.vision.encoder.activation != "quick_gelu":
        raise UserError(
            "OpenAI's weights were trained with quick_gelu; take --model=ViT-B-32-quickgelu, or "
            "the name of another size that ends so."
        )
    separate = any(name.startswith("text.") for name in names) or separate_text(config)
    return table(config, "text." if separate else "")


def separate_text(config: ClipConfig) -> bool:
    """Whether open_clip needs its text tower apart, as OpenAI's layout has no such options."""
    text = config.text
    return not isinstance(text, TextConfig) or text.class_token or text.mask != "none"
