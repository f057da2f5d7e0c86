"""Foreign networks that a run uses as they are: read from their paths, the same on every resume."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from vlx.errors import UserError
from vlx.interop.pretrained import Pretrained
from vlx.parallel import layout
from vlx.tasks.task import Constant
from vlx.train.setup import Setup
from vlx.weights import read

FILE = "constants.json"  # in the run's folder: name -> path and digest of what was read


def with_constants(setup: Setup) -> Setup:
    """The run with its task's constants on the devices.

    Raises UserError for one that cannot be read, or is not what the run began with.
    """
    setup, wanted = read_constants(setup), setup.task.constants
    if wanted:
        digests = {name: (path, setup.constants[name].digest) for name, path in wanted.items()}
        _check(setup.workdir / FILE, digests)
    return setup


def read_constants(setup: Setup) -> Setup:
    """The same, whatever the run may have begun with."""
    wanted = setup.task.constants
    constants = {name: _place(_read(name, path), setup.mesh) for name, path in wanted.items()}
    return replace(setup, constants=constants) if wanted else setup


def _read(name: str, path: str) -> Pretrained:
    if not path:
        raise UserError(f"config.loss.{name} is empty; name a trained one, any folder or file.")
    try:
        return read(Path(path))
    except UserError as error:
        raise UserError(f"config.loss.{name}: {error}") from error


def _place(p: Pretrained, mesh: jax.sharding.Mesh) -> Constant:
    params = jax.device_put(p.tree, layout.shardings(p.tree, mesh))
    return Constant(params, p.model, p.pixels.statistics, _digest(p))


def _digest(p: Pretrained) -> str:
    digest = hashlib.sha256()
    for path in sorted(p.params):
        digest.update(path.encode() + np.ascontiguousarray(p.params[path]).tobytes())
    return digest.hexdigest()


def _check(file: Path, now: dict[str, tuple[str, str]]) -> None:
    """Compares with what the run's folder says, or says it there."""
    if file.is_file():
        before = json.loads(file.read_text())
        changed = [name for name, (_, digest) in now.items() if before[name]["sha256"] != digest]
        if changed:
            raise UserError(
                f"config.loss.{changed[0]}={now[changed[0]][0]!r} holds other weights than when "
                "this run began; put the old ones back, or give another --workdir."
            )
    elif jax.process_index() == 0 and file.parent.is_dir():
        kept = {name: {"path": path, "sha256": digest} for name, (path, digest) in now.items()}
        file.write_text(json.dumps(kept, indent=2) + "\n")
