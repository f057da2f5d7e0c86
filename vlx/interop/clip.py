"""CLIP checkpoints: OpenAI's names, which open_clip shares, or the text tower under `text.*`."""

from collections.abc import Collection

from vlx.interop import open_clip_blocks as blocks
from vlx.interop.table import Rule
from vlx.layers.text import TextConfig
from vlx.models.clip import ClipConfig


def table(config: ClipConfig, text_prefix: str = "") -> list[Rule]:
    """`text_prefix` is "text." for files with a separate text tower."""
    rules = blocks.vision(config.vision, config.embedding)
    rules += blocks.any_text(config.text, text_prefix)
    return rules + blocks.scalars(config.logit_bias is not None)


def table_for(config: ClipConfig, names: Collection[str] = ()) -> list[Rule]:
    """The table of a file with these names; without any, of one that open_clip would write."""
    separate = any(name.startswith("text.") for name in names) or separate_text(config)
    return table(config, "text." if separate else "")


def separate_text(config: ClipConfig) -> bool:
    """Whether open_clip needs its text tower apart, as OpenAI's layout has no such options."""
    text = config.text
    return not isinstance(text, TextConfig) or text.class_token or text.mask != "none"
