"""Tables of the layers that BEiT and VLMo share. Names on the left are those of unilm's code."""

from dataclasses import replace

from vlx.interop.open_clip_blocks import linear, norm
from vlx.interop.table import (
    Rule,
    Transform,
    concatenate,
    fused,
    heads_bias,
    heads_kernel,
    merge_kernel,
)
from vlx.layers.multiway import MultiwayConfig

ONLY = Transform(lambda x: (x.reshape(-1),), lambda x: (x.reshape(1, 1, -1),))  # [1, 1, D] to [D]
ROWS = Transform(lambda x: (x[0],), lambda x: (x[None],))  # [1, P, D] to [P, D]


def stacks(c: MultiwayConfig, cut: int = 0) -> dict[str, tuple[int, int]]:
    """The paths of an encoder's stacks and the layers that each holds, first to last.

    cut: where the upper one begins if it is not that of the experts for pairs.
    """
    middle = cut or c.layers - c.pair_layers
    found = {"encoder/lower/layers": (0, middle), "encoder/upper/layers": (middle, c.layers)}
    return {path: span for path, span in found.items() if span[1] > span[0]}


def encoder(official: str, c: MultiwayConfig, experts: dict[str, str], cut: int = 0) -> list[Rule]:
    """All layers; `official` holds `{layer}`, `experts` says how the official code ends the names
    of each expert's MLP and norm."""
    rules = []
    for path, span in stacks(c, cut).items():
        own = [name for name in experts if name in c.experts or path.startswith("encoder/upper")]
        rules += [
            replace(rule, span=span)
            for rule in stack(official, path, c, {name: experts[name] for name in own})
        ]
    return rules


def stack(official: str, vlx: str, c: MultiwayConfig, experts: dict[str, str]) -> list[Rule]:
    """The layers of one stack, the official ones numbered from 0."""
    attention, ours = f"{official}.attn", f"{vlx}/attention"
    kernels = tuple(f"{ours}/{part}/kernel" for part in ("query", "key", "value"))
    rules = norm(f"{official}.norm1", f"{vlx}/attention_norm")
    rules += [
        Rule(f"{attention}.qkv.weight", kernels, fused(3, heads_kernel(c.heads))),
        Rule(f"{attention}.proj.weight", f"{ours}/out/kernel", merge_kernel(c.heads)),
        Rule(f"{attention}.proj.bias", f"{ours}/out/bias"),
    ]
    if c.biases == "qkv":
        biases = tuple(f"{ours}/{part}/bias" for part in ("query", "key", "value"))
        rules.append(Rule(f"{attention}.qkv.bias", biases, fused(3, heads_bias(c.heads))))
    elif c.biases:
        rules.append(Rule(f"{attention}.q_bias", f"{ours}/query/bias", heads_bias(c.heads)))
        rules.append(Rule(f"{attention}.v_bias", f"{ours}/value/bias", heads_bias(c.heads)))
    if c.layer_scale:
        rules.append(Rule(f"{official}.gamma_1", f"{vlx}/attention_scale/scale"))
        rules.append(Rule(f"{official}.gamma_2", f"{vlx}/mlp_scale/scale"))
    for name, ending in experts.items():
        rules += norm(f"{official}.norm2{ending}", f"{vlx}/{name}/norm")
        rules += linear(f"{official}.mlp{ending}.fc1", f"{vlx}/{name}/mlp/up")
        rules += linear(f"{official}.mlp{ending}.fc2", f"{vlx}/{name}/mlp/down")
    return rules


def joint_relative(c: MultiwayConfig) -> Rule:
    """One table for all layers, [N, layers heads], and the layers' own, [layers, N, heads]."""
    spans = stacks(c)
    paths = tuple(f"{path}/relative/embedding" for path in spans)

    def apart(table):
        tables = table.reshape(len(table), c.layers, c.heads).transpose(1, 0, 2)
        return tuple(tables[first:last] for first, last in spans.values())

    def together(*tables):
        tables = concatenate(tables).transpose(1, 0, 2)
        return (tables.reshape(len(tables), -1),)

    return Rule("relative_position_bias_table", paths, Transform(apart, together))
