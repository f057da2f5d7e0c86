"""Layers with experts beside what else could be done, forward and with gradients.

    python benchmarks/multiway.py [--width=768] [--layers=4] [--batch=8] [--repeats=5]
        [--cores=2] [--device=gpu]

A pair of 40 text and 197 image tokens goes through layers of VLMo base in float32:

- vlx: each expert multiplies its own slice of the sequence;
- masked: both experts multiply all tokens, and a mask chooses, as a router that is not static would
  (same parameters, same result);
- plain: a Transformer of equal width with one expert for all tokens;
- PyTorch: the same layers, written for this benchmark, if `make peers` has installed it.

They run in turn, and the table shows medians and ratios to the first.
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

from peers import process
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

TEXT, IMAGE = 40, 197
PARTS = ("text", TEXT), ("image", IMAGE)


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2, help="CPU cores; 0: all")
    parser.add_argument("--device", default="", help="cpu or gpu; empty: what JAX finds")
    return parser.parse_args()


def masked_layer():
    """The layer of vlx, but for its experts: both see all tokens, and a mask adds them up."""
    import jax.numpy as jnp

    from vlx.layers import multiway

    def both(x, parts):
        """Every expert with all tokens, and which of them are its own."""
        start = 0
        for name, tokens in parts:
            own = (jnp.arange(x.shape[1]) >= start) & (jnp.arange(x.shape[1]) < start + tokens)
            yield name, own[:, None]
            start += tokens

    class Masked(multiway.MultiwayLayer):
        def feed(self, x, parts, branch):
            return sum(jnp.where(own, branch(name, x), 0) for name, own in both(x, parts))

    return Masked


class Ours:
    """Layers of vlx, compiled for the forward pass and for gradients of all parameters."""

    def __init__(self, c: argparse.Namespace, experts: tuple[str, ...], layer=None):
        import jax
        import jax.numpy as jnp

        from vlx.layers import multiway
        from vlx.layers.stack import Compute

        config = multiway.MultiwayConfig(
            c.width, c.layers, c.width // 64, 4 * c.width, experts, layer_scale=0.1
        )
        layer = layer or multiway.MultiwayLayer
        model = multiway.MultiwayLayers(config, Compute(scan=False), 0, c.layers, layer=layer)
        parts = PARTS if len(experts) > 1 else ((experts[0], TEXT + IMAGE),)
        x = jax.random.normal(jax.random.key(0), (c.batch, TEXT + IMAGE, c.width))
        params = jax.jit(lambda key: model.init(key, x, parts))(jax.random.key(1))

        def forward(params, x):
            return model.apply(params, x, parts)

        def loss(params, x):
            return jnp.sum(jnp.square(forward(params, x)))

        calls = {"forward": forward, "gradient": jax.grad(loss)}
        self._calls = {
            name: jax.jit(call).lower(params, x).compile() for name, call in calls.items()
        }
        self._arguments = params, x

    def run(self, call: str) -> dict[str, float]:
        import jax

        start = time.perf_counter()
        jax.block_until_ready(self._calls[call](*self._arguments))
        return {"seconds": time.perf_counter() - start}


def main():
    c = flags()
    device, where = process.machine(c.cores, c.device)
    console = Console(width=120, highlight=False)
    sizes = f"{c.layers} layers of width {c.width}, {c.batch} pairs, float32"
    table = Table("call", "layers", "seconds", "ratio", title=f"{sizes}, {where}")
    ours = {
        "vlx": Ours(c, ("text", "image")),
        "vlx, masked": Ours(c, ("text", "image"), masked_layer()),
        "vlx, plain": Ours(c, ("tokens",)),
    }
    peer = None
    if process.installed():
        sizes = {"width": c.width, "layers": c.layers, "batch": c.batch}
        peer = process.Peer("multiway", device=device.platform, **sizes)
    else:
        console.print(process.ABSENT)
    for call in ("forward", "gradient"):
        runs = {name: partial(own.run, call) for name, own in ours.items()}
        if peer:
            runs[peer.about["name"]] = partial(peer.ask, call=call)
        found = process.in_turn(runs, c.repeats)
        for name, value in found.items():
            ratio = value["seconds"] / found["vlx"]["seconds"]
            table.add_row(call, name, f"{value['seconds']:.3f}", f"{ratio:.2f}")
        table.add_section()
    if peer:
        peer.close()
    console.print(table)


if __name__ == "__main__":
    main()
