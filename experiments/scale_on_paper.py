r"""What a recipe's step asks of each device, on meshes that nobody needs to have.

    python experiments/scale_on_paper.py --config=configs/beit3/pretrain.py \
        --presets=base,large,giant --devices=64,256,1024 [--fsdp=64] [--compiled]

Bytes of the state (parameters and moments) follow from abstract shapes and the layout table, FLOPs
from the traced step. With --compiled the step is compiled for simulated devices, half a minute a
row: then the bytes that it holds beside its inputs are told too, as XLA plans them for CPUs.
Nothing is computed.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
QUICK = "--xla_backend_optimization_level=0"  # of machine code, which nobody runs


def measure(recipe: str, preset: str, fsdp: int, compiled: bool) -> dict:
    """One row, in a process that has as many simulated devices as the mesh."""
    sys.path.insert(0, str(ROOT))
    import jax
    import numpy as np

    from vlx.config import build, plain
    from vlx.parallel import layout
    from vlx.parallel.mesh import batch_sharding
    from vlx.train.config import RunConfig
    from vlx.train.setup import Setup, resolved
    from vlx.train.summary import example_batch

    spec = importlib.util.spec_from_file_location("recipe", recipe)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = plain(module.get_config(preset))
    given["mesh"] = {"data": -1, "fsdp": min(fsdp, jax.device_count())}
    setup = Setup(resolved(build(RunConfig, given)), Path("."))
    setup.check()
    batch = _with_codes(example_batch(setup))
    state = setup.program.abstract_state
    places = jax.tree.map(lambda x: x.sharding, state)
    row = {
        "parameters": sum(int(np.prod(x.shape)) for x in jax.tree.leaves(state.params)),
        "state": layout.bytes_per_device(state, places),
        "flops": setup.flops(batch) / jax.device_count(),
    }
    if compiled:
        placed = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=batch_sharding(setup.mesh)),
            batch,
        )
        rate = jax.ShapeDtypeStruct((), np.float32)
        with jax.set_mesh(setup.mesh):
            program = setup.program.step.lower(state, placed, rate, setup.step_key, {}).compile()
        row["temporary"] = program.memory_analysis().temp_size_in_bytes
    return row


def _with_codes(batch: dict) -> dict:
    """Codes in place of the views that a tokenizer would read."""
    import jax
    import numpy as np

    if "target_image" in batch:
        hidden = batch["patch_mask"]
        batch = {name: x for name, x in batch.items() if name != "target_image"}
        return batch | {"codes": jax.ShapeDtypeStruct(hidden.shape, np.int32)}
    return {name: _with_codes(x) if isinstance(x, dict) else x for name, x in batch.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--presets", default="base,large,giant")
    parser.add_argument("--devices", default="64,256,1024")
    parser.add_argument("--fsdp", type=int, default=64, help="devices that share the state")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.config, options.one, options.fsdp, options.compiled)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("preset", "parameters", "devices", "state a device", "TFLOP a device and step")
    if options.compiled:
        table.add_column("temporary a device")
    for preset in options.presets.split(","):
        for devices in options.devices.split(","):
            flags = f"--xla_force_host_platform_device_count={devices} {QUICK}"
            given = [f"--config={options.config}", f"--one={preset}", f"--fsdp={options.fsdp}"]
            given += ["--compiled"] * options.compiled
            out = subprocess.run(
                [sys.executable, __file__, *given],
                env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
                check=True, capture_output=True, text=True,
            ).stdout  # fmt: skip
            row = json.loads(out.splitlines()[-1])
            cells = [preset, f"{row['parameters']:,}", devices, f"{row['state'] / 2**20:,.0f} MiB"]
            cells.append(f"{row['flops'] / 1e12:,.2f}")
            if options.compiled:
                cells.append(f"{row['temporary'] / 2**20:,.0f} MiB")
            table.add_row(*cells)
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
