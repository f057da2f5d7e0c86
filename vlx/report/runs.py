"""What a run folder holds, read for the report; what is missing is not shown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from vlx.errors import UserError
from vlx.evaluate.examples import kept_steps
from vlx.train.log import TIMINGS, read_metrics

TOTAL, RATE, GRADIENT = "loss", "learning_rate", "gradient_norm"
QUIET = ("step", "skipped")  # logged, and no curve


@dataclass(frozen=True)
class Evaluation:
    """The newest results of a split."""

    step: int
    results: Mapping[str, Mapping[str, float]]  # evaluator -> metric -> value
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]


@dataclass(frozen=True)
class Run:
    """A run folder."""

    folder: Path
    name: str  # unlike that of any other run of the report
    config: Mapping[str, Any]  # empty where a model was measured that is no run's

    @cached_property
    def environment(self) -> Mapping[str, Any]:
        return _read_json(self.folder / "environment.json") or {}

    @property
    def progress(self) -> str:
        """How far it has come; of a model that was measured alone, nothing."""
        done = self.lines[-1]["step"] if self.lines else 0
        return f"{done:,} of {self.config['steps']:,} steps" if self.config else ""

    @cached_property
    def lines(self) -> list[dict]:
        return read_metrics(self.folder / "metrics.jsonl")

    def curve(self, metric: str) -> tuple[list[int], list[float]]:
        """Steps and values of a metric."""
        found = [(line["step"], float(line[metric])) for line in self.lines if metric in line]
        return [step for step, _ in found], [value for _, value in found]

    @cached_property
    def metrics(self) -> list[str]:
        """Names of all that was logged, each once: losses and their terms first."""
        names = dict.fromkeys(name for line in self.lines for name in line if name not in QUIET)
        last = [RATE, GRADIENT, *TIMINGS]
        order = {name: place for place, name in enumerate([TOTAL, None, *last])}
        return sorted(names, key=lambda name: order.get(name, order[None]))

    @cached_property
    def evaluations(self) -> Mapping[str, Evaluation]:
        """By split, or what those of other data are kept as, of the last step."""
        newest: dict[str, Evaluation] = {}
        for path in sorted((self.folder / "evaluations").glob("*-*.json")):
            found = _read_json(path)
            if not isinstance(found, dict) or "results" not in found:
                continue  # captions and other examples
            read = Evaluation(found["step"], found["results"], found.get("intervals", {}))
            name = found.get("name", found["split"])
            if name not in newest or newest[name].step < read.step:
                newest[name] = read
        return newest

    def examples(self, kind: str) -> Mapping[str, Any]:
        """What evaluators kept of a kind, such as "captions": split -> content."""
        files = sorted((self.folder / "evaluations").glob(f"{kind}-*.json"))
        found = {path.stem.removeprefix(f"{kind}-"): _read_json(path) for path in files}
        # Results may be kept as what examples are called.
        return {name: x for name, x in found.items() if "results" not in x}

    def step_of(self, kind: str, name: str) -> int | None:
        """The step that examples of a kind are of; None where they do not say it."""
        return self._kept_steps.get(f"{kind}-{name}")

    @cached_property
    def _kept_steps(self) -> Mapping[str, int]:
        return kept_steps(self.folder)


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs, or evaluations, of these folders.

    Raises UserError for a folder that is neither or holds nothing to show, and for runs that learn
    different things and cannot be compared.
    """
    runs = [_read_run(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]
    trained = [run for run in runs if run.config]
    for first, run in pairwise(trained):
        if run.config["task"] != first.config["task"]:
            raise UserError(
                f"{first.folder} is a run of {first.config['task']!r}, {run.folder} one of "
                f"{run.config['task']!r}; make a report of each."
            )
    return runs


def _read_run(folder: Path, name: str) -> Run:
    config = _read_json(folder / "config.json") or {}
    run = Run(folder, name, config)
    if not (config or run.evaluations) or (config and "task" not in config):
        raise UserError(
            f"{folder} is not the folder of a run: it holds no config.json of one; give what "
            "train.py or eval.py was given as --workdir."
        )
    if not run.lines and not run.evaluations:
        raise UserError(
            f"{folder} holds no metrics and no evaluations yet; train it, or measure it with "
            f"eval.py --workdir={folder}, then write the report."
        )
    return run


def _names(folders: Sequence[Path]) -> list[str]:
    """The last part of each path, or the whole where it would not be unique."""
    last = [folder.resolve().name for folder in folders]
    return [
        name if last.count(name) == 1 else str(folder)
        for name, folder in zip(last, folders, strict=True)
    ]


def _read_json(path: Path) -> Any:
    """A file's content; None if there is no such file."""
    try:
        return json.loads(path.read_text()) if path.is_file() else None
    except ValueError as error:
        raise UserError(
            f"{path} is no JSON ({error}); remove it, or have train.py or eval.py write it anew."
        ) from error
