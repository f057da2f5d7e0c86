"""Results of an evaluation: a file to keep, a table to read."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from rich.console import Console
from rich.table import Table

from vlx.evaluate.measured import Interval, Metrics
from vlx.evaluate.names import Settings, check_name

# What is no share, by the ends of names.
FORMS = {"_median": ".0f", "_mean": ".1f", "weight_decay": "g", "cider_d": ".2f",
         "log_likelihood": ".2f", "perplexity": ".2f"}  # fmt: skip
COLUMNS = ("evaluator", "metric", "value", "95 % interval", "chance")
RERANKED = "_reranked"  # ends the names of what is measured after a second look
Results = Mapping[str, Metrics]  # by evaluator


def write(
    workdir: Path,
    step: int,
    split: str,
    results: Results,
    name: str = "",
    settings: Settings = MappingProxyType({}),
) -> Path:
    """Writes RUN/evaluations/NAME-STEP.json, by default SPLIT-STEP.json, and returns its path.

    settings: what the results are of, as far as it is not what the run says. Results of other
    evaluators that are already there stay; those of other settings are refused by a UserError.
    """
    folder, name = workdir / "evaluations", name or split
    check_name(workdir, name, settings)
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{step}.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    content = {
        "step": step,
        "split": split,
        "name": name,
        "settings": dict(settings),
        "results": old.get("results", {}) | dict(results),
        "intervals": old.get("intervals", {}) | {name: x.intervals for name, x in results.items()},
    }
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


def show(results: Results, title: str, console: Console | None = None) -> None:
    """Prints every metric with its interval, and what guessing would reach of the main one.

    A column without an entry is left out.
    """
    rows = []
    for name, metrics in results.items():
        chance = metrics.get("chance")
        for metric, value in metrics.items():
            if metric != "chance":
                first = is_share_of_first(metric)
                guess = form("chance", chance) if chance is not None and first else ""
                ends = metrics.intervals.get(metric)
                whole = f"{name}/{metric}"
                shown = form_interval(whole, ends) if ends else ""
                rows.append((name, metric, form(whole, value), shown, guess))
    filled = [n for n, cells in enumerate(zip(*rows, strict=True)) if any(cells)]
    table = Table(*(COLUMNS[n] for n in filled), title=title, title_justify="left")
    for row in rows:
        table.add_row(*(row[n] for n in filled))
    (console or Console(highlight=False)).print(table)


def show_captions(path: Path, most: int = 5, console: Console | None = None) -> None:
    """Prints some written captions, spread over the split, beside a reference of each."""
    captions = json.loads(path.read_text())
    table = Table("example", "written", "reference", title="captions", title_justify="left")
    for caption in captions[:: max(1, len(captions) // most)][:most]:
        table.add_row(str(caption["index"]), caption["text"], caption["references"][0])
    (console or Console(highlight=False)).print(table)


def is_share_of_first(metric: str) -> bool:
    """Whether `chance` says what guessing would reach of it."""
    name = metric.removesuffix(RERANKED)
    return name.endswith(("top1", "_r1")) or name in ("score", "accuracy")


def form(metric: str, value: float) -> str:
    """The value as people read it, of EVALUATOR/METRIC: most are shares, losses are not."""
    if metric.startswith("losses/"):
        return f"{value:.3f}"
    for ending, how in FORMS.items():
        if metric.removesuffix(RERANKED).endswith(ending):
            return format(value, how)
    return f"{value:.1%}"


def form_interval(metric: str, ends: Interval) -> str:
    """Both ends as the value is shown, the unit once."""
    low, high = (form(metric, end) for end in ends)
    return f"{low.removesuffix('%')} to {high}"
