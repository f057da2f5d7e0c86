"""Curves as inline SVG, coloured by the page: lines by run, the rest as its text."""

import re
from collections.abc import Sequence
from io import StringIO

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.figure import Figure

POINTS = 300  # of a curve; the mean stands for several steps, a band for their extremes
WIDTH, HEIGHT = 4.4, 2.5  # inches; one such figure is as wide as a phone
# Room for tick labels; a layout fitted to each figure would take half of the time.
MARGINS = {"left": 0.14, "right": 0.97, "bottom": 0.175, "top": 0.93}
# Colours that the SVG is drawn with, and what the page puts in their place.
INK = "#010203"
RUNS = 6  # colours of the page, --run-0 to --run-5
LINES = [f"#f0f0f{n}" for n in range(RUNS)]

Curve = tuple[Sequence[int], Sequence[float]]  # steps, values; empty for a run without them

STYLE = {
    "svg.fonttype": "none",  # text stays text
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.formatter.limits": (-3, 5),
    "axes.formatter.use_mathtext": False,
}


def plot(name: str, curves: Sequence[Curve]) -> Markup:
    """A metric over steps, a line for each run that has it, as an <svg> element."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(WIDTH, HEIGHT))
        axes = figure.add_subplot()
        figure.subplots_adjust(**MARGINS)
        for number, curve in enumerate(curves):
            if curve[0]:
                _draw(axes, curve, LINES[number % RUNS])
        axes.set_xlabel("step")
        axes.grid(True)
        axes.locator_params(axis="x", nbins=5)
        axes.locator_params(axis="y", nbins=5)
        return _inline(figure, _description(name, curves))


def _draw(axes, curve: Curve, colour: str) -> None:
    steps, values = (np.asarray(x, float) for x in curve)
    marker = "o" if len(steps) < 15 else None
    if len(steps) > POINTS:
        parts = np.array_split(np.arange(len(steps)), POINTS)
        low, high = (np.array([f(values[p]) for p in parts]) for f in (np.min, np.max))
        steps, values = (np.array([x[p].mean() for p in parts]) for x in (steps, values))
        axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(steps, values, color=colour, linewidth=1.4, marker=marker, markersize=3)


def _description(name: str, curves: Sequence[Curve]) -> str:
    """What a reader hears who does not see the figure."""
    ends = [
        f"{curve[1][0]:.3g} at step {curve[0][0]} to {curve[1][-1]:.3g} at step {curve[0][-1]}"
        for curve in curves
        if curve[0]
    ]
    return f"{name}: from {'; from '.join(ends)}"


def _inline(figure: Figure, description: str) -> Markup:
    file = StringIO()
    figure.savefig(
        file,
        format="svg",
        transparent=True,
        metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
    )
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    view = re.search(r'viewBox="[^"]*"', svg)[0]
    svg = re.sub(r"^<svg[^>]*>", f'<svg {view} role="img" aria-label="{escape(description)}">', svg)
    # Groups are numbered from one in every figure; a page holds an id once.
    svg = re.sub(r'(<g) id="[a-zA-Z0-9_.]+"', r"\1", svg)
    svg = svg.replace("xlink:href", "href").replace(INK, "currentColor")
    for number, colour in enumerate(LINES):
        svg = svg.replace(colour, f"var(--run-{number})")
    return Markup(svg)
