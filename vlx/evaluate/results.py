"""Results of an evaluation: a file to keep, a table to read."""

import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

# What is no share, by the ends of names.
FORMS = {"_median": ".0f", "_mean": ".1f", "weight_decay": "g", "cider_d": ".2f"}
Results = Mapping[str, Mapping[str, float]]  # evaluator -> metric -> value


def write(workdir: Path, step: int, split: str, results: Results) -> Path:
    """Writes RUN/evaluations/SPLIT-STEP.json and returns its path.

    Results of other evaluators that are already there stay.
    """
    folder = workdir / "evaluations"
    folder.mkdir(exist_ok=True)
    path = folder / f"{split}-{step}.json"
    if path.exists():
        results = json.loads(path.read_text())["results"] | dict(results)
    path.write_text(json.dumps({"step": step, "split": split, "results": results}, indent=2) + "\n")
    return path


def show(results: Results, title: str, console: Console | None = None) -> None:
    """Prints every metric, with what guessing would reach beside shares at rank 1."""
    table = Table("evaluator", "metric", "value", "chance", title=title, title_justify="left")
    for name, metrics in results.items():
        chance = metrics.get("chance")
        for metric, value in metrics.items():
            if metric != "chance":
                first = metric.endswith(("top1", "_r1"))
                guess = f"{chance:.1%}" if chance is not None and first else ""
                table.add_row(name, metric, _format(metric, value), guess)
    (console or Console(highlight=False)).print(table)


def show_captions(path: Path, most: int = 5, console: Console | None = None) -> None:
    """Prints some written captions, spread over the split, beside a reference of each."""
    captions = json.loads(path.read_text())
    table = Table("example", "written", "reference", title="captions", title_justify="left")
    for caption in captions[:: max(1, len(captions) // most)][:most]:
        table.add_row(str(caption["index"]), caption["text"], caption["references"][0])
    (console or Console(highlight=False)).print(table)


def _format(metric: str, value: float) -> str:
    for ending, form in FORMS.items():
        if metric.endswith(ending):
            return format(value, form)
    return f"{value:.1%}"
