"""The encoder of DALL-E's discrete autoencoder, BEiT's visual tokenizer."""

import re
from collections.abc import Mapping
from typing import Any

from vlx.errors import UserError
from vlx.interop.description import Description
from vlx.interop.open_clip_blocks import PATCH_KERNEL
from vlx.interop.pretrained import Pixels
from vlx.interop.table import Rule
from vlx.models.dvae import GROUPS, DvaeConfig

OUTPUT = "blocks.output.conv.w"


def table(c: DvaeConfig) -> list[Rule]:
    """Convolutions are called `w` and `b`. Raises UserError for a model with a decoder."""
    if c.decoder:
        raise UserError(
            "The format holds an encoder alone, and this model has a decoder; keep it in vlx's own."
        )
    rules = _convolution("blocks.input", "encoder/input")
    for group in range(1, GROUPS + 1):
        for block in range(1, c.blocks + 1):
            official = f"blocks.group_{group}.block_{block}"
            ours = f"encoder/group_{group}_block_{block}"
            for number in range(1, 5):
                rules += _convolution(f"{official}.res_path.conv_{number}", f"{ours}/conv_{number}")
            if group > 1 and block == 1:
                rules += _convolution(f"{official}.id_path", f"{ours}/identity")
    return rules + _convolution("blocks.output.conv", "encoder/output")


def _convolution(official: str, vlx: str) -> list[Rule]:
    kernel = Rule(f"{official}.w", f"{vlx}/kernel", PATCH_KERNEL)
    return [kernel, Rule(f"{official}.b", f"{vlx}/bias")]


def default(config: DvaeConfig) -> Description:
    """The pixels that the tokenizer looks at."""
    return Description(config, Pixels(config.image_size, "dall_e", "squash"), None)


def describe(state: Mapping[str, Any], like: Any = None) -> DvaeConfig:
    """The tokenizer whose tensors a file holds; images are 112 pixels wide, as BEiT has them."""
    names = [
        name for name in state if re.fullmatch(r"blocks\.group_1\.block_\d+\..*conv_1\.w", name)
    ]
    return DvaeConfig(
        width=len(state["blocks.input.b"]),
        blocks=len(names),
        codes=len(state[OUTPUT]),
        decoder=False,
    )
