"""A training step of vlx beside one of open_clip: CoCa of the same size, batch and precision.

    python benchmarks/train_step.py [--preset=coca_ViT-B-32] [--batch=8] [--dtype=float32]
        [--scan] [--remat=names] [--steps=3] [--cores=2] [--device=gpu]

Both do all of a step: forward, both losses, backward, AdamW. They take two turns each on the same
device (CPU: the same cores), --steps in a row as a training loop has them, and the table shows
medians. On a CPU that others use as well, compare the CPU seconds. Compile time is that of XLA's
program; open_clip runs eagerly unless --torch_compile is set, and with --remat it recomputes every
layer. Memory is the most ever in use: on a CPU by the whole process, compiler included.
FLOPs are the matrix products of a step of vlx; MFU is shown where the device's peak is known, and
counts the same FLOPs for both. `make peers` installs open_clip.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np
from peers import process
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

GIB = 2**30


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="coca_ViT-B-32", help="one that both have")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--scan", action="store_true", help="one compiled layer in a loop")
    parser.add_argument("--remat", default="none", help="a policy of vlx/layers/stack.py")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of each")
    parser.add_argument("--cores", type=int, default=2, help="CPU cores; 0: all")
    parser.add_argument("--device", default="", help="cpu or gpu; empty: what JAX finds")
    parser.add_argument("--torch_compile", action="store_true", help="torch.compile the peer")
    return parser.parse_args()


class Ours:
    """A vlx training step, compiled."""

    def __init__(self, c: argparse.Namespace):
        import jax

        from vlx.config import build
        from vlx.train import flops
        from vlx.train.config import RunConfig
        from vlx.train.setup import Setup

        self.setup = setup = Setup(build(RunConfig, run_config(c)), Path("unused"))
        with jax.set_mesh(setup.mesh):
            self.state, self.batch = setup.new_state(), setup.place(random_batch(setup, c.batch))
            start = time.perf_counter()
            arguments = self.state, self.batch, setup.rate(0), setup.step_key
            self._step = setup.program.step.lower(*arguments).compile()
            seconds = time.perf_counter() - start
            self.flops = setup.flops(self.batch)
        self.device = jax.devices()[0]
        self.peak = flops.peak_flops(self.device)
        plan = self._step.memory_analysis()
        self.planned = plan.argument_size_in_bytes + plan.temp_size_in_bytes
        parameters = sum(x.size for x in jax.tree.leaves(self.state.params))
        name = f"vlx, jax {jax.__version__}"
        self.about = {"name": name, "parameters": parameters, "compile": seconds}

    def step(self) -> dict[str, float]:
        """One step: seconds, CPU seconds, loss, and the most memory so far."""
        setup, start, cpu = self.setup, time.perf_counter(), time.process_time()
        rate = setup.rate(0)
        self.state, metrics = self._step(self.state, self.batch, rate, setup.step_key)
        loss = float(metrics["loss"])  # waits for the device
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        return {"seconds": seconds, "cpu": cpu, "loss": loss, "memory": self._memory()}

    def _memory(self) -> int:
        used = self.device.memory_stats() or {}
        process_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return used.get("peak_bytes_in_use", process_peak)


def run_config(c: argparse.Namespace) -> dict:
    """The recipe of configs/coca/open_clip_b32.py without its schedule."""
    from vlx.tasks.coca import NO_DECAY

    compute = {"dtype": c.dtype, "scan": c.scan, "remat": c.remat}
    return {
        "task": "coca",
        "steps": 1,
        "model": {"preset": c.preset, "compute": compute},
        "tokenizer": {"length": 76},
        "batch": {"size": c.batch},
        "optimizer": {
            **{"name": "adamw", "lr": 5e-4, "b1": 0.9, "b2": 0.98, "eps": 1e-6},
            **{"weight_decay": 0.2, "no_decay": NO_DECAY["release"]},
            **{"schedule": {"name": "constant"}, "limits": (("logit_scale", 0.0, 4.605170),)},
        },
        "loss": {"contrastive": 1.0, "captioning": 2.0},
    }


def random_batch(setup, size: int) -> dict[str, np.ndarray]:
    rng, task = np.random.default_rng(0), setup.task
    return {
        "image": rng.integers(0, 256, (size, *task.image_size, 3), np.uint8),
        "text": rng.integers(1, task.vocabulary, (size, task.text_length), np.int32),
        "text_mask": np.ones((size, task.text_length), bool),
        "weight": np.ones(size, np.float32),
    }


def columns(c: argparse.Namespace, ours: Ours, value: dict, about: dict) -> dict[str, str]:
    """A row of the table, from medians and what is known of a library."""
    seconds = value["seconds"]
    mfu = ours.flops / seconds / ours.peak if ours.peak else None
    return {
        "": about["name"],
        "parameters": f"{about['parameters'] / 1e6:.1f} M",
        "s / step": f"{seconds:.3f}",
        "CPU s / step": f"{value['cpu']:.2f}",
        "images / s": f"{c.batch / seconds:.2f}",
        "TFLOP / s": f"{ours.flops / seconds / 1e12:.3f}",
        "MFU": f"{mfu:.1%}" if mfu else "-",
        "peak memory": f"{value['memory'] / GIB:.2f} GiB",
        "compile": f"{about['compile']:.1f} s" if "compile" in about else "-",
    }


def start_peer(c: argparse.Namespace, backend: str) -> process.Peer:
    settings = {"preset": c.preset, "batch": c.batch, "dtype": c.dtype, "device": backend}
    settings |= {"remat": int(c.remat != "none"), "compiled": int(c.torch_compile)}
    return process.Peer("train_step", **settings)


def main():
    c = flags()
    device, where = process.machine(c.cores, c.device)
    console = Console(width=120, highlight=False)
    ours, peer = Ours(c), None
    abouts, calls = [ours.about], [ours.step]
    if process.installed():
        peer = start_peer(c, device.platform)
        abouts, calls = [*abouts, peer.about], [*calls, peer.ask]
    else:
        console.print(process.ABSENT)
    values = process.in_turn(dict(enumerate(calls)), 2, c.steps)
    if peer:
        peer.close()

    rows = [columns(c, ours, values[n], about) for n, about in enumerate(abouts)]
    how = "scanned" if c.scan else "unrolled"
    table = Table(
        title=f"{c.preset}, batch {c.batch}, {c.dtype}, {how}, remat={c.remat}, {where}: "
        f"{ours.flops / 1e12:.3f} TFLOP a step, median of {c.steps}"
    )
    for name in rows[0]:
        table.add_column(name, justify="right" if name else "left")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
    console.print(f"The compiled step of vlx plans {ours.planned / GIB:.2f} GiB, state included.")
    if peer:
        wall, cpu = (values[1][key] / values[0][key] for key in ("seconds", "cpu"))
        console.print(f"vlx does {wall:.2f} x the steps of open_clip, {cpu:.2f} x per CPU second.")


if __name__ == "__main__":
    main()
