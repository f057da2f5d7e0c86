"""Equal layers one after another, as one loop or unrolled, with named choices of what to keep."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax

from vlx.layers.cache import CACHE
from vlx.parallel.collectives import keep_rows

Array = jax.Array

POLICIES: dict[str, Callable | None] = {
    "nothing": None,  # keep only the inputs of each layer, recompute the rest
    "names": jax.checkpoint_policies.save_only_these_names("attention", "mlp_hidden"),
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}


@dataclass(frozen=True)
class Compute:
    """How a model is computed. No choice changes parameters, or results beyond rounding."""

    dtype: str = "float32"  # of activations; parameters stay float32
    scan: bool = True  # one compiled layer in a loop (False: unrolled, compiles longer)
    remat: str = "none"  # what the backward pass keeps: "none" keeps all, else a key of POLICIES

    def __post_init__(self):
        if self.remat not in ("none", *POLICIES):
            raise ValueError(f"remat={self.remat!r}: choose from none, {', '.join(POLICIES)}.")
        jax.numpy.dtype(self.dtype)


def run(
    layer: nn.Module,
    length: int,
    compute: Compute,
    x: Array,
    *shared,
    each: Any = None,
    collect: bool = False,
    **static,
) -> Array:
    """x after `length` copies of `layer`, each also given `shared` (a mask, a context).

    each: arrays of `length` rows, of which every copy gets its own as the argument `each`.
    collect: what comes out of every copy instead of the last alone, [length, ...].
    static: what no array is. Call it in a compact method with a layer named `layers`: the copies'
    parameters are stacked along a first axis under that name, scanned or not.
    """

    def step(layer, x, own, *shared):
        given = static if each is None else {**static, "each": own}
        x = keep_rows(layer(keep_rows(x), *shared, **given))
        layer.sow("intermediates", "output", x)
        return x, x if collect else None

    if compute.remat != "none":
        step = nn.remat(step, policy=POLICIES[compute.remat], prevent_cse=not compute.scan)
    loop = nn.scan(
        step,
        variable_axes={"params": 0, "intermediates": 0, CACHE: 0},
        split_rngs={"params": True, "dropout": True},
        in_axes=(0, *[nn.broadcast] * len(shared)),
        length=length,
        unroll=1 if compute.scan else length,
        check_constancy_invariants=False,  # layers share no variable: spares a second trace
    )
    last, every = loop(layer, x, each, *shared)
    return every if collect else last
