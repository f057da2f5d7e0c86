"""What a model can be asked for: its public methods, as far as it has the parts for them."""

from typing import Any

import flax.linen as nn

# method -> the part that it needs, where a config can leave it out
PARTS = {
    "encode_image": "contrastive",
    "encode_text": "contrastive",
    "match": "matching",
    "answer": "answers",
    "classify": "classes",
    "words": "words",
    "code_logits": "codes",
    "init_cache": "captions",
    "decode_step": "captions",
    "rank": "captions",
}
PAIR_OF_IMAGES = "truth"  # what `answer` needs for two images in place of PARTS


def can(model: nn.Module, method: str, part: str = "") -> bool:
    """Whether a model has a method and the `part` that it needs, by default that of PARTS."""
    part = part or PARTS.get(method, "")
    return hasattr(model, method) and (not part or _has(getattr(model, "config", None), part))


def why_not(model: nn.Module, method: str, part: str = "") -> str:
    """What to tell those who ask for what a model cannot do."""
    name, part = type(model).__name__, part or PARTS.get(method, "")
    if not hasattr(model, method):
        return f"{name} has no {method}."
    return (
        f"This {name} was trained without the part {part!r}, which {method} needs; take one that "
        "was trained with it."
    )


def _has(config: Any, part: str) -> bool:
    """A config lists its heads, or has a number for a part, 0 for none; else all is there."""
    heads = getattr(config, "heads", None)
    return bool(getattr(config, part, True)) if heads is None else part in heads
