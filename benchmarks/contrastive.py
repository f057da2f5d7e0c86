"""Contrastive losses with gradients: streamed, plain, and open_clip's.

    python benchmarks/contrastive.py [--sizes=2048,4096,8192] [--width=512] [--repeats=3]
        [--chunk=512] [--cores=2] [--device=gpu]

Value and gradients of features and scale in float32, on one device. The plain loss holds all B x B
similarities, several times over; the streamed one only a chunk of their columns. They run in turn,
and the table shows medians. Memory is what a call needs beyond its arguments: what the
compiler plans for vlx; for open_clip the growth of the peak, of the process or the GPU, that is
seen during a call. `make peers` installs open_clip.
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from peers import process
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

MIB = 2**20
SCALE = 1 / 0.07


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="2048,4096,8192", help="batches, by commas")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--chunk", type=int, default=512, help="columns that are held at a time")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2, help="CPU cores; 0: all")
    parser.add_argument("--device", default="", help="cpu or gpu; empty: what JAX finds")
    return parser.parse_args()


class Ours:
    """A loss of vlx with gradients, compiled for one batch size."""

    def __init__(self, loss, size: int, width: int):
        import jax
        import jax.numpy as jnp

        def mean(image, text, scale, weight):
            total, count = loss(image, text, scale, weight)
            return total / count

        self._arguments = (*features(size, width), jnp.float32(SCALE), jnp.ones(size))
        self._arguments = jax.device_put(self._arguments)
        call = jax.jit(jax.value_and_grad(mean, argnums=(0, 1, 2)))
        self._call = call.lower(*self._arguments).compile()
        self.memory = self._call.memory_analysis().temp_size_in_bytes

    def run(self) -> dict[str, float]:
        import jax

        start = time.perf_counter()
        value, _ = jax.block_until_ready(self._call(*self._arguments))
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "memory": self.memory, "loss": float(value)}


def features(size: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of unit length, the same in both libraries."""
    rows = np.random.default_rng(0).standard_normal((2, size, width), np.float32)
    image, text = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return image, text


def losses(c: argparse.Namespace) -> dict:
    from vlx.objectives import contrastive, streaming

    streamed = partial(streaming.contrastive, chunk=c.chunk)
    return {"vlx, streamed": streamed, "vlx, plain": contrastive.contrastive}


def main():
    c = flags()
    device, where = process.machine(c.cores, c.device)
    console = Console(width=120, highlight=False)
    table = Table(title=f"Contrastive loss and gradients, width {c.width}, float32, {where}")
    for name in ("batch", "loss", "value", "seconds", "memory"):
        table.add_column(name, justify="left" if name == "loss" else "right")

    peer = None
    if process.installed():
        peer = process.Peer("contrastive", device=device.platform, width=c.width)
    else:
        console.print(process.ABSENT)
    for size in map(int, c.sizes.split(",")):
        calls = {name: Ours(loss, size, c.width).run for name, loss in losses(c).items()}
        if peer:
            calls[peer.about["name"]] = partial(peer.ask, size=size)
        for name, value in process.in_turn(calls, c.repeats).items():
            table.add_row(
                *(str(size), name, f"{value['loss']:.5f}", f"{value['seconds']:.3f}"),
                f"{value['memory'] / MIB:,.0f} MiB",
            )
        table.add_section()
    if peer:
        peer.close()
    console.print(table)


if __name__ == "__main__":
    main()
