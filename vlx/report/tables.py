"""Tables of the report: measures by run, and settings with what differs between runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vlx.config import flat
from vlx.evaluate.results import form, form_interval, is_share_of_first
from vlx.report.runs import Run

ABSENT = "-"


@dataclass(frozen=True)
class Cell:
    """A value as text, with its interval where it has one."""

    value: str
    interval: str = ""


@dataclass(frozen=True)
class MeasureRow:
    """One metric in every run."""

    evaluator: str
    metric: str
    cells: list[Cell]
    chance: str
    first: bool  # of its evaluator


@dataclass(frozen=True)
class MeasureTable:
    """All metrics of a split."""

    split: str
    steps: list[str]  # by run
    rows: list[MeasureRow]

    @property
    def guessed(self) -> bool:
        """Whether any metric has a value by chance."""
        return any(row.chance for row in self.rows)


@dataclass(frozen=True)
class SettingRow:
    """One setting in every run."""

    name: str
    values: list[str]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def measures(runs: Sequence[Run]) -> list[MeasureTable]:
    """A table for each split that any of the runs was measured on."""
    splits = dict.fromkeys(split for run in runs for split in run.evaluations)
    return [_measures(split, runs) for split in splits]


def _measures(split: str, runs: Sequence[Run]) -> MeasureTable:
    found = [run.evaluations.get(split) for run in runs]
    results = [evaluation.results for evaluation in found if evaluation]
    evaluators = dict.fromkeys(name for result in results for name in result)
    names = [
        (evaluator, metric)
        for evaluator in evaluators
        for metric in dict.fromkeys(m for result in results for m in result.get(evaluator, {}))
        if metric != "chance"
    ]
    rows = [
        MeasureRow(
            evaluator,
            metric,
            [_cell(x, evaluator, metric) for x in found],
            _chance(found, evaluator) if is_share_of_first(metric) else "",
            first=number == 0 or names[number - 1][0] != evaluator,
        )
        for number, (evaluator, metric) in enumerate(names)
    ]
    return MeasureTable(split, [f"step {x.step:,}" if x else ABSENT for x in found], rows)


def _cell(evaluation, evaluator: str, metric: str) -> Cell:
    value = evaluation.results.get(evaluator, {}).get(metric) if evaluation else None
    if value is None:
        return Cell(ABSENT)
    ends = evaluation.intervals.get(evaluator, {}).get(metric)
    whole = f"{evaluator}/{metric}"
    return Cell(form(whole, value), form_interval(whole, ends) if ends else "")


def _chance(found, evaluator: str) -> str:
    """What guessing would reach, in the first run that says so."""
    for evaluation in found:
        if evaluation and "chance" in evaluation.results.get(evaluator, {}):
            return form("chance", evaluation.results[evaluator]["chance"])
    return ""


def settings(sections: Sequence[Mapping[str, Any]]) -> list[SettingRow]:
    """Every setting of nested sections, one of each run; those that differ come first."""
    columns = [{name: _text(value) for name, value in flat(x).items()} for x in sections]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [SettingRow(name, [column.get(name, ABSENT) for column in columns]) for name in names]
    return sorted(rows, key=lambda row: not row.differs)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return str(value)
