"""BEiT-3's checkpoints: the encoder below `beit3.`, or bare, and the heads of every task.

The pre-training heads of the released files have names that are not published; those here are
vlx's own, and so are the names of the paper's layout.
"""

from dataclasses import replace

from vlx.interop import unilm_blocks as blocks
from vlx.interop.open_clip_blocks import PATCH_KERNEL, linear, norm
from vlx.interop.table import TRANSPOSED, Rule, heads_bias, heads_kernel, merge_kernel
from vlx.models.beit3 import Beit3Config

PREFIX = "beit3."
RELEASED = {"image": "A", "text": "B"}  # how the official code calls what is a kind's own
PAPER = {"image": "V", "text": "L", "pair": "VL"}


def table(c: Beit3Config, prefix: str = PREFIX) -> list[Rule]:
    """The rules of a model; `prefix` stands before the names of a released encoder."""
    if c.encoder.apart:
        encoder = f"{prefix}encoder."
        positions = {kind: f"embed_positions.{ending}" for kind, ending in RELEASED.items()}
    else:
        prefix = encoder = ""
        positions = {kind: f"embed_positions_{PAPER[kind]}" for kind in RELEASED}
    vision = f"{prefix}vision_embed"
    rules = [
        Rule(f"{prefix}text_embed.weight", "text/tokens/embedding"),
        Rule(f"{vision}.proj.weight", "image/patches/projection/kernel", PATCH_KERNEL),
        Rule(f"{vision}.proj.bias", "image/patches/projection/bias"),
        Rule(f"{vision}.cls_token", "image/class_token", blocks.ONLY),
        Rule(f"{vision}.mask_token", "image/mask_token", blocks.ONLY),
        Rule(f"{encoder}{positions['image']}.weight", "image/positions"),
        Rule(f"{encoder}{positions['text']}.weight", "text/positions/embedding"),
    ]
    for path, span in blocks.stacks(c.encoder).items():
        layer = _layer(f"{encoder}layers.{{layer}}", path, c)
        rules += [replace(rule, span=span) for rule in layer]
    if c.final_norm:
        rules += _norms(f"{encoder}layer_norm", "norm", c)
    for head in c.heads:
        rules += HEADS[head]
    return rules


def _kinds(c: Beit3Config) -> dict[str, str]:
    """Endings of names, official and ours, of what each kind has by itself in every layer."""
    if not c.encoder.apart:
        return {"": ""}
    return {f".{theirs}": f"/{ours}" for ours, theirs in RELEASED.items()}


def _norms(official: str, vlx: str, c: Beit3Config) -> list[Rule]:
    return [
        rule
        for theirs, ours in _kinds(c).items()
        for rule in norm(f"{official}{theirs}", f"{vlx}{ours}")
    ]


def _layer(official: str, vlx: str, c: Beit3Config) -> list[Rule]:
    e = c.encoder
    attention, own = f"{official}.self_attn", f"{vlx}/attention"
    rules = _norms(f"{official}.self_attn_layer_norm", f"{vlx}/attention_norm", c)
    for theirs, ours in _kinds(c).items():
        for part in ("query", "key", "value"):
            name, path = f"{attention}.{part[0]}_proj{theirs}", f"{own}/{part}{ours}"
            rules.append(Rule(f"{name}.weight", f"{path}/kernel", heads_kernel(e.heads)))
            rules.append(Rule(f"{name}.bias", f"{path}/bias", heads_bias(e.heads)))
        name, path = f"{attention}.out_proj{theirs}", f"{own}/out{ours}"
        rules.append(Rule(f"{name}.weight", f"{path}/kernel", merge_kernel(e.heads)))
        rules.append(Rule(f"{name}.bias", f"{path}/bias"))
    if e.inner_norm:
        rules += _norms(f"{attention}.inner_attn_ln", f"{own}/inner_norm", c)
    for kind, ending in (RELEASED if e.apart else PAPER).items():
        if kind == "pair" and not vlx.startswith("encoder/upper"):
            continue
        rules += norm(f"{official}.final_layer_norm.{ending}", f"{vlx}/{kind}/norm")
        expert, ours = f"{official}.ffn.{ending}", f"{vlx}/{kind}/mlp"
        rules += linear(f"{expert}.fc1", f"{ours}/up") + linear(f"{expert}.fc2", f"{ours}/down")
        if e.inner_norm:
            rules += norm(f"{expert}.ffn_layernorm", f"{ours}/norm")
    return rules


HEADS = {
    "contrastive": [
        Rule("logit_scale", "logit_scale"),
        Rule("vision_head.weight", "image_projection/kernel", TRANSPOSED),
        Rule("language_head.weight", "text_projection/kernel", TRANSPOSED),
    ],
    "words": linear("text_head", "word_head/logits"),
    "codes": linear("image_head", "code_head"),
    "captions": linear("mlm_head", "word_head/logits"),
    "classes": norm("fc_norm", "class_norm") + linear("head", "class_head"),
    "answers": [
        *norm("pooler.norm", "pooler_norm"),
        *linear("pooler.dense", "pooler"),
        *linear("head.0", "answer_head/hidden"),
        *norm("head.1", "answer_head/norm"),
        *linear("head.3", "answer_head/logits"),
    ],
    "truth": [
        *norm("head.norm1", "truth_norm"),
        *linear("head.dense1", "truth_head/hidden"),
        *norm("head.norm2", "truth_head/norm"),
        *linear("head.dense2", "truth_head/logits"),
    ],
}
