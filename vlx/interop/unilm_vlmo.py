"""VLMo's checkpoints, of all stages: `transformer.*` and what stands beside it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vlx.interop import unilm_blocks as blocks
from vlx.interop.open_clip_blocks import PATCH_KERNEL, linear, norm
from vlx.interop.table import TRANSPOSED, Rule, computed
from vlx.models.vlmo_config import VlmoConfig

EXPERTS = {"text": "_text", "image": "_imag", "pair": "_vl"}
POSITION_IDS = "text_embeddings.position_ids"  # a buffer: 0, 1, ...


def table(c: VlmoConfig) -> list[Rule]:
    """The rules of a model with these heads."""
    trunk, text = "transformer", "text_embeddings"
    rules = [
        Rule(f"{trunk}.patch_embed.proj.weight", "image/patches/projection/kernel", PATCH_KERNEL),
        Rule(f"{trunk}.patch_embed.proj.bias", "image/patches/projection/bias"),
        Rule(f"{trunk}.cls_token", "image/class_token", blocks.ONLY),
        Rule(f"{text}.word_embeddings.weight", "text/tokens/embedding"),
        Rule(f"{text}.position_embeddings.weight", "text/positions/embedding"),
        Rule(f"{text}.token_type_embeddings.weight", "text/types/embedding"),
        Rule("token_type_embeddings.weight", "types/embedding"),
        computed(POSITION_IDS, np.arange(c.text_length)[None]),
    ]
    rules += norm(f"{text}.LayerNorm", "text/norm")
    rules += norm(f"{trunk}.norm", "norm")
    rules += linear("pooler.dense", "pooler")
    if c.is_relative:
        rules.append(blocks.joint_relative(c.encoder))
    if c.is_absolute:
        rules.append(Rule(f"{trunk}.pos_embed", "image/positions", blocks.ROWS))
    rules += blocks.encoder(f"{trunk}.blocks.{{layer}}", c.encoder, EXPERTS)
    for head in c.heads:
        rules += HEADS[head]
    return rules


def _contrastive(official: str, vlx: str) -> list[Rule]:
    rules = [Rule(f"logit{official}_scale", f"{vlx}logit_scale")]
    for kind in ("text", "image"):
        name = f"itc{official}_{kind}_proj.fc.weight"
        rules.append(Rule(name, f"{vlx}{kind}_projection/kernel", TRANSPOSED))
    return rules


def _words() -> list[Rule]:
    rules = linear("mlm_score.transform.dense", "word_head/hidden")
    rules += norm("mlm_score.transform.LayerNorm", "word_head/norm")
    rules.append(Rule("mlm_score.decoder.weight", "word_head/logits/kernel", TRANSPOSED))
    return [*rules, Rule("mlm_score.bias", "word_head/logits/bias")]


def _classifier(official: str, vlx: str) -> list[Rule]:
    rules = linear(f"{official}.0", f"{vlx}/hidden")
    rules += norm(f"{official}.1", f"{vlx}/norm")
    return rules + linear(f"{official}.3", f"{vlx}/logits")


HEADS = {
    "contrastive": _contrastive("", ""),
    "pair_contrastive": _contrastive("_vl", "pair_"),
    "matching": linear("itm_score.fc", "match_head"),
    "words": _words(),
    "answers": _classifier("vqa_classifier", "answer_head"),
    "truth": _classifier("nlvr2_classifier", "truth_head"),
}


def clean(state: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The tensors of a state dict without index arrays, which vlx computes by itself."""
    return {name: x for name, x in state.items() if not name.endswith("relative_position_index")}
