"""What a run says: metrics.jsonl is the truth, the rest mirrors it."""

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vlx.errors import UserError
from vlx.train.config import LogConfig

Metrics = Mapping[str, float]
TIMINGS = ("step_time", "images_per_second", "input_wait", "mfu")  # differ from run to run


class MetricsFile:
    """Lines of JSON, one an event, on disk as soon as they are written."""

    def __init__(self, path: Path):
        self._path = path
        self._file = None

    def start(self, step: int) -> None:
        """Opens the file for a run that continues after `step`; later lines are dropped.

        They were written after the checkpoint, and will be written again, just the same.
        """
        fresh = self._path.with_suffix(".tmp")
        try:
            kept = [line for line in _whole_lines(self._path) if json.loads(line)["step"] <= step]
            fresh.write_text("".join(f"{line}\n" for line in kept))
            os.replace(fresh, self._path)
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise UserError(f"{self._path} cannot be written: {error.strerror}.") from error

    def write(self, step: int, metrics: Metrics) -> None:
        values = {name: _number(value) for name, value in metrics.items()}
        try:
            self._file.write(json.dumps({"step": step, **values}).encode() + b"\n")
        except OSError as error:
            raise UserError(f"{self._path} cannot be written: {error.strerror}.") from error

    def close(self) -> None:
        if self._file:
            self._file.close()


def read_metrics(path: Path) -> list[dict]:
    """All whole lines of a metrics file."""
    return [json.loads(line) for line in _whole_lines(path)]


def _whole_lines(path: Path) -> list[str]:
    """Lines that end: a kill may have cut the last one."""
    if not path.exists():
        return []
    return [line for line in path.read_text().split("\n")[:-1] if line]


def _number(value) -> float | str:
    """JSON has no NaN or infinity; they are written as text."""
    value = float(value)
    return value if math.isfinite(value) else str(value)


class Logger:
    """Metrics to the file, TensorBoard and Weights & Biases; progress to the terminal.

    A quiet one does nothing: of several processes, only the first writes.
    """

    def __init__(self, workdir: Path, config: LogConfig, steps: int, quiet: bool = False):
        self._steps, self._quiet = steps, quiet
        self._file = MetricsFile(workdir / "metrics.jsonl")
        self._config, self._workdir = config, workdir
        self._mirrors = []
        self._console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
        self._progress = None

    def start(self, step: int) -> None:
        """Opens everything for a run that continues after `step`."""
        if self._quiet:
            return
        self._file.start(step)
        if self._config.tensorboard:
            self._mirrors.append(_TensorBoard(self._workdir / "tensorboard", step))
        if self._config.wandb:
            self._mirrors.append(_WeightsAndBiases(self._config.wandb, self._workdir))
        if self._console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[latest]}"),
                console=self._console,
            )
            self._task = self._progress.add_task(
                "training", total=self._steps, completed=step, latest=""
            )
            self._progress.start()

    def advance(self, step: int) -> None:
        """Moves the progress bar."""
        if self._progress:
            self._progress.update(self._task, completed=step)

    def metrics(self, step: int, metrics: Metrics) -> None:
        """Writes one set of numbers of a step, everywhere."""
        if self._quiet:
            return
        self._file.write(step, metrics)
        for mirror in self._mirrors:
            mirror.write(step, metrics)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        if self._progress:
            brief = [name for name in ("loss", "images_per_second") if name in metrics]
            if brief:
                latest = "  ".join(f"{name} {metrics[name]:.4g}" for name in brief)
                self._progress.update(self._task, latest=latest)
            else:
                self._progress.console.print(f"step {step}  {shown}")
        else:
            self.say(f"step {step}/{self._steps}  {shown}")

    def say(self, text: str) -> None:
        """One line for the reader."""
        if not self._quiet:
            self._console.print(text, markup=False)

    def close(self) -> None:
        if self._progress:
            self._progress.stop()
        for mirror in self._mirrors:
            mirror.close()
        self._file.close()


class _TensorBoard:
    def __init__(self, folder: Path, step: int):
        from tensorboardX import SummaryWriter

        # What was written after `step` is no longer shown.
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, step: int, metrics: Metrics) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, float(value), step)

    def close(self) -> None:
        self._writer.close()


class _WeightsAndBiases:
    def __init__(self, project: str, workdir: Path):
        try:
            import wandb
        except ImportError as error:
            raise UserError(
                "log.wandb is set, but wandb is not installed: pip install wandb."
            ) from error
        self._run = wandb.init(project=project, dir=str(workdir), name=workdir.name, resume="allow")

    def write(self, step: int, metrics: Metrics) -> None:
        self._run.log(dict(metrics), step=step)

    def close(self) -> None:
        self._run.finish()
