"""Tables of the towers that all open_clip models share. Names on the left are open_clip's."""

from vlx.interop.table import (
    SAME,
    TRANSPOSED,
    Rule,
    Transform,
    computed,
    fused,
    heads_bias,
    heads_kernel,
    merge_kernel,
)
from vlx.layers.attention import AttentionOptions
from vlx.layers.bert import BertTextConfig
from vlx.layers.embeddings import sine_positions
from vlx.layers.text import TextConfig
from vlx.layers.transformer import TransformerConfig
from vlx.layers.vision import VisionConfig

PER_HEAD = Transform(lambda x: (x.reshape(-1),), lambda x: (x.reshape(-1, 1, 1),))
PATCH_KERNEL = Transform(
    lambda w: (w.transpose(2, 3, 1, 0),),  # [D, 3, p, p] to [p, p, 3, D]
    lambda k: (k.transpose(3, 2, 0, 1),),
)


def norm(official: str, vlx: str) -> list[Rule]:
    return [Rule(f"{official}.weight", f"{vlx}/scale"), Rule(f"{official}.bias", f"{vlx}/bias")]


def linear(official: str, vlx: str, bias: bool = True) -> list[Rule]:
    kernel = Rule(f"{official}.weight", f"{vlx}/kernel", TRANSPOSED)
    return [kernel, Rule(f"{official}.bias", f"{vlx}/bias")] if bias else [kernel]


def attention(
    official: str, vlx: str, heads: int, options: AttentionOptions, is_fused: bool = True
) -> list[Rule]:
    """Multi-head attention with its projections in one matrix, or in three."""
    parts = ("query", "key", "value")
    kernels = tuple(f"{vlx}/{part}/kernel" for part in parts)
    biases = tuple(f"{vlx}/{part}/bias" for part in parts)
    kernel, bias = heads_kernel(heads), heads_bias(heads)
    if is_fused:
        rules = [Rule(f"{official}.in_proj_weight", kernels, fused(3, kernel))]
    else:
        names = [f"{official}.{letter}_proj_weight" for letter in "qkv"]
        rules = [Rule(name, path, kernel) for name, path in zip(names, kernels, strict=True)]
    rules += [
        Rule(f"{official}.in_proj_bias", biases, fused(3, bias)),
        Rule(f"{official}.out_proj.weight", f"{vlx}/out/kernel", merge_kernel(heads)),
        Rule(f"{official}.out_proj.bias", f"{vlx}/out/bias"),
    ]
    if options.qk_norm:
        rules += norm(f"{official}.ln_q", f"{vlx}/query_norm")
        rules += norm(f"{official}.ln_k", f"{vlx}/key_norm")
    if options.cosine:
        rules.append(Rule(f"{official}.logit_scale", f"{vlx}/logit_scale", PER_HEAD))
    if options.head_scale:
        rules.append(Rule(f"{official}.head_scale", f"{vlx}/head_scale", PER_HEAD))
    if options.inner_norm:
        rules += norm(f"{official}.ln_inner", f"{vlx}/inner_norm")
    return rules


def block(official: str, vlx: str, c: TransformerConfig, cross: bool = False) -> list[Rule]:
    """A stack of residual blocks: `official` holds `{layer}`, `vlx` is the stack's path."""
    rules = norm(f"{official}.ln_1", f"{vlx}/attention_norm")
    rules += attention(f"{official}.attn", f"{vlx}/attention", c.heads, c.attention)
    rules += norm(f"{official}.ln_2", f"{vlx}/mlp_norm")
    rules += linear(f"{official}.mlp.c_fc", f"{vlx}/mlp/up")
    rules += linear(f"{official}.mlp.c_proj", f"{vlx}/mlp/down")
    if cross:
        rules += norm(f"{official}.ln_1_kv", f"{vlx}/context_norm")
    if c.branch_norm:
        rules += norm(f"{official}.ln_attn", f"{vlx}/attention_branch_norm")
    if c.mlp_norm:
        rules += norm(f"{official}.mlp.ln", f"{vlx}/mlp/norm")
    if c.layer_scale:
        rules.append(Rule(f"{official}.ls_1.gamma", f"{vlx}/attention_scale/scale"))
        rules.append(Rule(f"{official}.ls_2.gamma", f"{vlx}/mlp_scale/scale"))
    return rules


def vision(c: VisionConfig, embedding: int) -> list[Rule]:
    """The image tower, `visual.*`."""
    rules = [
        Rule("visual.conv1.weight", "image/patches/projection/kernel", PATCH_KERNEL),
        Rule("visual.class_embedding", "image/class_token"),
        Rule("visual.proj", "image/projection/kernel"),
    ]
    if c.positions == "learned":
        rules.append(Rule("visual.positional_embedding", "image/positions"))
    else:
        table = sine_positions(*c.grid, c.encoder.width, class_token=True)
        rules.append(computed("visual.positional_embedding", table))
    if c.input_norm:
        rules += norm("visual.ln_pre", "image/input_norm")
    rules += norm("visual.ln_post", "image/norm")
    rules += block("visual.transformer.resblocks.{layer}", "image/encoder/layers", c.encoder)
    poolers = {"attn_pool": "pooler"} if c.attentional else {}
    if c.pooling in ("parallel", "cascade"):
        poolers["attn_pool_contrastive"] = "contrastive_pooler"
    for name, path in poolers.items():
        official, vlx = f"visual.{name}", f"image/{path}"
        # PyTorch fuses the projections where context and queries have one width.
        reads_queries = c.pooling == "cascade" and path == "contrastive_pooler"
        same = reads_queries or c.encoder.width == embedding
        rules.append(Rule(f"{official}.query", f"{vlx}/queries"))
        rules += norm(f"{official}.ln_q", f"{vlx}/query_norm")
        rules += norm(f"{official}.ln_k", f"{vlx}/context_norm")
        plain = AttentionOptions()
        rules += attention(f"{official}.attn", f"{vlx}/attention", c.pooler.heads, plain, same)
    return rules


def text(c: TextConfig, prefix: str = "text.") -> list[Rule]:
    """The text tower; OpenAI's layout has no prefix."""
    rules = [
        Rule(f"{prefix}token_embedding.weight", "text/tokens/embedding"),
        Rule(f"{prefix}positional_embedding", "text/positions"),
    ]
    if c.class_token:
        rules.append(Rule(f"{prefix}cls_emb", "text/class_token"))
    rules += norm(f"{prefix}ln_final", "text/norm")
    rules += block(f"{prefix}transformer.resblocks.{{layer}}", "text/encoder/layers", c.encoder)
    if c.projection and c.projection_bias:
        rules += linear(f"{prefix}text_projection", "text/projection")
    elif c.projection:
        rules.append(Rule(f"{prefix}text_projection", "text/projection/kernel"))
    return rules


def any_text(c: TextConfig | BertTextConfig, prefix: str = "text.") -> list[Rule]:
    """The text tower of either kind; Hugging Face's is always under `text.`."""
    return bert_text(c) if isinstance(c, BertTextConfig) else text(c, prefix)


def bert_text(c: BertTextConfig) -> list[Rule]:
    """A Hugging Face RoBERTa as text tower, `text.transformer.*` and `text.proj`."""
    stem, heads = "text.transformer.embeddings", c.encoder.heads
    rules = [
        Rule(f"{stem}.word_embeddings.weight", "text/encoder/tokens/embedding"),
        Rule(f"{stem}.position_embeddings.weight", "text/encoder/positions/embedding"),
        Rule(f"{stem}.token_type_embeddings.weight", "text/encoder/types/embedding"),
    ]
    rules += norm(f"{stem}.LayerNorm", "text/encoder/input_norm")
    layer, ours = "text.transformer.encoder.layer.{layer}", "text/encoder/layers"
    for part in ("query", "key", "value"):
        name, path = f"{layer}.attention.self.{part}", f"{ours}/attention/{part}"
        rules.append(Rule(f"{name}.weight", f"{path}/kernel", heads_kernel(heads)))
        rules.append(Rule(f"{name}.bias", f"{path}/bias", heads_bias(heads)))
    out, path = f"{layer}.attention.output", f"{ours}/attention/out"
    rules.append(Rule(f"{out}.dense.weight", f"{path}/kernel", merge_kernel(heads)))
    rules.append(Rule(f"{out}.dense.bias", f"{path}/bias"))
    rules += norm(f"{out}.LayerNorm", f"{ours}/attention_norm")
    rules += linear(f"{layer}.intermediate.dense", f"{ours}/mlp/up")
    rules += linear(f"{layer}.output.dense", f"{ours}/mlp/down")
    rules += norm(f"{layer}.output.LayerNorm", f"{ours}/mlp_norm")
    if c.projection == "linear":
        return rules + linear("text.proj", "text/projection", bias=False)
    rules += linear("text.proj.0", "text/hidden", bias=False)
    return rules + linear("text.proj.2", "text/projection", bias=False)


def scalars(bias: bool) -> list[Rule]:
    rules = [Rule("logit_scale", "logit_scale", SAME)]
    return [*rules, Rule("logit_bias", "logit_bias", SAME)] if bias else rules
