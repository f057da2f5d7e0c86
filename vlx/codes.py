"""Codes of a training split, made once for all epochs.

Letters: N records, K views of each, b records at a time, Z side of a view, P patches.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from math import prod
from pathlib import Path

import jax
import numpy as np

from vlx.data import evaluation_batches
from vlx.data.coded_source import SeededSource, TargetViews
from vlx.data.codes import About, CodesWriter, begun, settings
from vlx.data.fields import Wanted
from vlx.errors import UserError
from vlx.parallel.compiled import compiled
from vlx.parallel.mesh import BATCH_AXES, place_rows
from vlx.parallel.start import wait_for_all
from vlx.tasks.codes import codes_of
from vlx.train.codes import TOKENIZER, check_predicts_codes
from vlx.train.setup import Setup

SAVED = 50  # batches after which what was done is saved


def write(folder: Path, setup: Setup, views: int, say: Callable[[str], None]) -> About:
    """Writes the codes of `views` views of every training record, or what is missing of them.

    setup: of a run with its constants, or of one of its groups. Raises UserError where the task
    predicts no codes, or the folder holds those of something else.
    """
    check_predicts_codes(setup.task, "python -m vlx codes")
    if views < 1:
        raise UserError(f"--views={views} must be at least 1.")
    data = setup.config.data
    Wanted(("target_image",)).check(data, tokenizer=None)
    run = _program(setup)
    source = setup.source(data.train_split)
    about = {
        "records": len(source),
        "views": views,
        "patches": prod(setup.task.grid),
        "codes": setup.constants[TOKENIZER].model.config.codes,
        "seed": setup.config.seed,
        "tokenizer": setup.constants[TOKENIZER].digest,
        **settings(data, setup.image_size),
    }
    done = begun(folder, about)
    wait_for_all("codes begun")  # before the first process writes what the others read here
    if done == about["records"]:
        return about
    seeded, first = SeededSource(source, about["seed"], views, done), jax.process_index() == 0
    writing = CodesWriter(folder, about, done) if first else nullcontext()
    with jax.set_mesh(setup.mesh), writing as writer:
        for number, codes in enumerate(_batches(setup, seeded, run, views), 1):
            if not first:
                continue
            writer.add(codes)
            if number % SAVED == 0:
                writer.save()
                say(f"{writer.done:,} of {about['records']:,} records have codes")
    wait_for_all("codes written")
    return about


def _program(setup: Setup) -> Callable:
    """The tokenizer on views of one size: (constant, uint8 [b, K, Z, Z, 3]) -> int32 [b, K, P]."""
    patches, side = prod(setup.task.grid), setup.config.data.target_size
    example = jax.ShapeDtypeStruct((1, 1, side, side, 3), np.uint8)
    run = compiled(_codes, setup.mesh, patches=patches)
    jax.eval_shape(run, setup.constants[TOKENIZER], example)  # which refuses what does not fit
    return run


def _codes(tokenizer, views, *, patches: int):
    codes = codes_of(views.reshape(-1, *views.shape[2:]), tokenizer, patches)
    return codes.reshape(*views.shape[:2], patches)


def _batches(setup: Setup, source: SeededSource, run: Callable, views: int) -> Iterator[np.ndarray]:
    """Codes of one record after the other: int32 [b, K, P], the last as long as records are."""
    data, left = setup.config.data, len(source)
    unit = prod(setup.mesh.shape[axis] for axis in BATCH_AXES)
    size = max(1, setup.config.evaluate.batch_size // (views * unit)) * unit
    hosts = jax.process_index(), jax.process_count()
    options = source, TargetViews(data), size, data, *hosts
    with evaluation_batches(*options, workers=data.workers) as batches:
        for batch in batches:
            placed = place_rows(batch["views"], setup.mesh)
            yield np.asarray(run(setup.constants[TOKENIZER], placed))[:left]
            left -= size
