"""What goes with the weights of BEiT and VLMo: pixels, vocabulary, the official settings."""

from collections.abc import Callable, Mapping
from typing import Any

from vlx.data import TokenizerConfig
from vlx.interop.description import ConfigFile, Description
from vlx.interop.pretrained import Pixels


def default(config: Any) -> Description:
    """What the official code takes."""
    length = getattr(config, "text_length", 0)
    statistics = getattr(config, "pixels", "inception")
    tokenizer = TokenizerConfig(name="wordpiece", length=length) if length else None
    return Description(config, Pixels(config.image_size, statistics, "squash"), tokenizer)


def config_file(
    read: Callable[[Mapping[str, Any]], Any], write: Callable[[Any], dict[str, Any]]
) -> ConfigFile:
    """The official code's settings, which vlx writes beside the weights; others do not."""
    return ConfigFile(
        "unilm_config.json",
        lambda official: default(read(official)),
        lambda description: write(description.config),
    )
