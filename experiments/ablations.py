"""What experiments that compare ways of training share: jobs, seeds, and tables of results."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
SEEDS = (0, 1, 2)  # fixed before the first run
ENVIRONMENT = (
    {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    | os.environ
    | {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
)


class Jobs:
    """Runs of train.py, each on a core of its own; what is done is not done again."""

    def __init__(self, recipe: str, folder: Path, count: int):
        self.recipe, self.folder, self.cores = recipe, folder, Queue()
        for core in range(count):
            self.cores.put(core)

    def run(self, name: str, stage: str, *settings: str) -> Path:
        """The folder of a finished run."""
        workdir = self.folder / name
        log = workdir.with_suffix(".log")
        command = [sys.executable, "train.py", f"--config={self.recipe}:{stage}"]
        command += [f"--workdir={workdir}", *[f"--config.{x}" for x in settings]]
        workdir.parent.mkdir(parents=True, exist_ok=True)
        core = self.cores.get()
        try:
            with log.open("w") as out:
                done = subprocess.run(
                    ["taskset", "-c", str(core), *command],
                    cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=ENVIRONMENT, check=False,
                )  # fmt: skip
        finally:
            self.cores.put(core)
        if done.returncode:
            raise SystemExit(f"{name} failed; see {log}")
        return workdir


@dataclass(frozen=True)
class Study:
    """Ways of training, and what is measured of them: FOLDER/SEED/WAY/RUN holds a run."""

    ways: Sequence[str]
    measures: Mapping[str, Sequence[str]]  # run -> names of measures
    questions: Sequence[tuple[str, str, str]]  # (asked, the better way, the worse one)

    def finish(self, folder: Path) -> None:
        """Writes FOLDER/results.json and prints means, spreads and differences."""
        results = self._collected(folder)
        (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
        console = Console(highlight=False, width=140)
        console.print(self._means(results))
        console.print(self._differences(results))

    def _collected(self, folder: Path) -> dict:
        """measure -> way -> a value for each seed."""
        results = {}
        for run, names in self.measures.items():
            for way in self.ways:
                runs = [folder / str(seed) / way / run for seed in SEEDS]
                if not all(run.is_dir() for run in runs):
                    continue
                for name in names:
                    values = [_measured(run)[name] for run in runs]
                    results.setdefault(f"{run}: {name}", {})[way] = values
        return results

    def _means(self, results: dict) -> Table:
        table = Table("measure", *self.ways, title="mean ± standard deviation over seeds")
        for measure, ways in results.items():
            cells = [ways.get(way) for way in self.ways]
            told = [f"{np.mean(x):.3f} ± {np.std(x, ddof=1):.3f}" if x else "" for x in cells]
            table.add_row(measure, *told)
        return table

    def _differences(self, results: dict) -> Table:
        table = Table("question", "measure", "difference", "seeds that agree", title="differences")
        for question, better, worse in self.questions:
            for measure, ways in results.items():
                if better in ways and worse in ways:
                    gain = np.subtract(ways[better], ways[worse])
                    gain = -gain if "losses/" in measure else gain
                    told = f"{gain.mean():+.3f} ± {gain.std(ddof=1):.3f}"
                    table.add_row(question, measure, told, f"{np.sum(gain > 0)} of {len(gain)}")
        return table


def _measured(folder: Path) -> dict[str, float]:
    """The last evaluation of a run."""
    found = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        found |= json.loads(line)
    return found
