"""The page: one HTML file with everything in it, for one run or several side by side."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vlx.errors import UserError
from vlx.report import panels
from vlx.report.figures import RUNS, plot
from vlx.report.runs import Run, read_runs
from vlx.report.tables import measures, settings

HERE = Path(__file__).parent
FILE = "report.html"
UNITS = {"step_time": "s", "input_wait": "s"}


def write_report(folders: Sequence[Path], output: Path | None = None) -> Path:
    """Writes the report of these run folders, and returns its path.

    By default it is report.html of the first folder. Raises UserError for folders that are no
    runs or cannot stand side by side, and if it cannot be written.
    """
    page = render(read_runs(folders))
    output = output or folders[0] / FILE
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output={output} cannot be written: {error.strerror}.") from error
    return output


def render(runs: Sequence[Run]) -> str:
    """The page as HTML; a section appears where a run has what it shows."""
    if len(runs) > RUNS:
        raise UserError(
            f"{len(runs)} runs are more than a page can tell apart; give {RUNS} at most."
        )
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(
        runs=runs,
        style=(HERE / "page.css").read_text(),
        training=_curves(runs, evaluated=False),
        validation=_curves(runs, evaluated=True),
        measures=measures(runs),
        gallery=panels.gallery(runs),
        attention=panels.attention(runs),
        retrieval=panels.retrieval(runs),
        answers=panels.answers(runs),
        statements=panels.statements(runs),
        completions=panels.completions(runs),
        failures=panels.failures(runs),
        units=UNITS,
        config=settings([run.config for run in runs]),
        environment=settings([run.environment for run in runs]),
    )


def _curves(runs: Sequence[Run], evaluated: bool) -> list[tuple[str, str]]:
    """Name and figure of every metric; those of evaluators have a slash in their name."""
    figures = []
    for name in dict.fromkeys(name for run in runs for name in run.metrics):
        curves = [run.curve(name) for run in runs]
        wanted = ("/" in name) == evaluated and not name.endswith("/chance")
        if wanted and any(len(steps) > 1 for steps, _ in curves):
            figures.append((name, plot(name.replace("_", " "), curves)))
    return figures
