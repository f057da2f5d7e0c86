"""What files say of a model beside its parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from vlx.data import TokenizerConfig
from vlx.interop.pretrained import Pixels


@dataclass(frozen=True)
class Description:
    """A model as a published file has it."""

    config: Any  # of the model
    pixels: Pixels
    tokenizer: TokenizerConfig | None  # None: it reads no texts


class ConfigFile(NamedTuple):
    """A JSON file beside the weights; in a downloaded folder it may be missing."""

    name: str
    read: Callable[[Mapping[str, Any]], Description]
    write: Callable[[Description], dict[str, Any]]
