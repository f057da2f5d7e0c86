"""CLIP checkpoints: OpenAI's names, which open_clip shares, or the text tower under `text.*`."""

from vlx.interop import open_clip_blocks as blocks
from vlx.interop.table import Rule
from vlx.models.clip import ClipConfig


def table(config: ClipConfig, text_prefix: str = "") -> list[Rule]:
    """`text_prefix` is "text." for files with a separate text tower."""
    rules = blocks.vision(config.vision, config.embedding)
    rules += blocks.text(config.text, text_prefix)
    return rules + blocks.scalars(config.logit_bias is not None)
