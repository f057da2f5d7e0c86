"""What a run would be: parameters, memory and FLOPs, without training."""

import math

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from vlx.data.fields import training_fields
from vlx.parallel import layout
from vlx.parallel.mesh import batch_sharding
from vlx.train.partition import flatten
from vlx.train.setup import Setup

WIDTH = 140  # characters


def summarise(setup: Setup, console: Console | None = None) -> None:
    """Prints every parameter with its shape, axes and share, and the cost of a step."""
    setup.check()
    # A narrow terminal wraps lines; names stay whole and can be copied.
    console = console or Console(highlight=False, width=max(WIDTH, Console().width))
    params = setup.program.shapes[0]
    console.print(_parameters(setup, params))
    for line in _cost(setup, params):
        console.print(line)


def _parameters(setup: Setup, params) -> Table:
    axes, trained = layout.table(params), setup.program.partition.trained
    table = Table()
    for column in ("parameter", "shape", "axes", "numbers", "trained"):
        table.add_column(column, no_wrap=True, justify="right" if column == "numbers" else "left")
    for path, x in sorted(flatten(params).items()):
        span = trained.get(path, "no")
        rows = "yes" if span is None else span if span == "no" else f"layers {span[0]}:{span[1]}"
        names = ", ".join(axis or "-" for axis in axes[path])
        table.add_row(path, "x".join(map(str, x.shape)), names, f"{math.prod(x.shape):,}", rows)
    return table


def _cost(setup: Setup, params) -> list[str]:
    c, mesh = setup.config, setup.mesh
    total = sum(math.prod(x.shape) for x in jax.tree.leaves(params))
    state = setup.program.abstract_state
    places = jax.tree.map(lambda x: x.sharding, state)
    held = layout.bytes_per_device(state, places)
    batch = example_batch(setup)
    flops = setup.flops(batch)
    rows = math.prod(batch_sharding(mesh).shard_shape((c.batch.size,)))
    size = "x".join(str(n) for n in mesh.devices.shape)
    kind = mesh.devices.flat[0].device_kind
    pieces = c.batch.micro_batches
    note = [f"               {setup.accumulation(batch)}"] if pieces > 1 else []
    return [
        f"parameters     {total:,}",
        f"mesh           {size} ({' x '.join(mesh.axis_names)}) of {kind}",
        f"batch          {c.batch.size}, {rows} a device, {pieces} micro-batches",
        *note,
        f"state          {held / 2**20:,.1f} MiB a device (parameters, moments, average)",
        f"step           {flops / 1e9:,.1f} GFLOP, {flops / c.batch.size / 1e9:,.2f} an example",
        f"run            {c.steps:,} steps, {c.steps * c.batch.size:,} examples",
    ]


def example_batch(setup: Setup) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of a batch, as the data would give it."""
    if setup.parts:
        return {name: example_batch(part) for name, part in setup.parts.items()}
    c, task = setup.config, setup.task
    image, text = (*setup.image_size, 3), (c.tokenizer.length,)
    patches = (math.prod(task.grid or ()),)
    shapes = {
        "image": (image, np.uint8),
        "second_image": (image, np.uint8),
        "target_image": ((c.data.target_size, c.data.target_size, 3), np.uint8),
        "text": (text, np.int32),
        "text_mask": (text, np.bool_),
        "masked_text": (text, np.int32),
        "masked": (text, np.bool_),
        "patch_mask": (patches, np.bool_),
        "codes": (patches, np.int32),
        "answer_scores": ((task.answers,), np.float32),
        "label": ((), np.int32),
        "weight": ((), np.float32),
    }
    return {
        name: jax.ShapeDtypeStruct((c.batch.size, *shapes[name][0]), shapes[name][1])
        for name in training_fields(task.fields, c.data)
    }
