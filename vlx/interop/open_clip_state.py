"""Names in the files that open_clip and OpenAI have written over the years.

`clean` brings them to the names of today's model, which the tables know.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

ARCHIVE_ONLY = ("input_resolution", "context_length", "vocab_size")  # of OpenAI's TorchScript files
DROPPED = ("text.transformer.embeddings.position_ids",)  # a buffer of old transformers
TEXT_TOWER = r"(text_projection|positional_embedding|token_embedding|transformer|ln_final).*"


def clean(file: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The tensors of a file under the names of a model whose tensors have `shapes`.

    Strips what wraps them (`state_dict`, `module.`), moves OpenAI's text tower under `text.`
    where the model has it there, and gives the logit scale its shape. A missing logit bias
    becomes 0, as in open_clip, even if the model was to start elsewhere.
    """
    state = dict(file.get("state_dict", file))
    if next(iter(state)).startswith("module"):
        state = {name[len("module.") :]: value for name, value in state.items()}
    for name in (*ARCHIVE_ONLY, *DROPPED):
        state.pop(name, None)
    separate = any(name.startswith("text.") for name in shapes)
    if separate and "positional_embedding" in state:
        state = {
            f"text.{name}" if re.fullmatch(TEXT_TOWER, name) else name: value
            for name, value in state.items()
        }
    if "logit_bias" in shapes and "logit_bias" not in state:
        state["logit_bias"] = np.zeros(shapes["logit_bias"], np.float32)
    for name in ("logit_scale", "logit_bias"):
        if name in state and name in shapes:
            state[name] = state[name].reshape(shapes[name])
    return state
