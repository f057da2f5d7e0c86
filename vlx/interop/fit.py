"""Parameters of one model as the start of another: what is taken, resized, newly made, left."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from vlx.errors import UserError
from vlx.interop.adapt import adapt, view
from vlx.interop.pretrained import Pretrained
from vlx.interop.stacks import Shape, by_place, places

TAKEN, RESIZED, NEW, LEFT = "taken", "resized", "newly made", "left"


@dataclass(frozen=True)
class Row:
    """What became of one array."""

    path: str
    what: str
    wanted: Shape | None = None  # in the new model
    given: Shape | None = None  # in the trained one


@dataclass(frozen=True)
class Fit:
    """The values to begin with, and an account of every array of either model."""

    values: Mapping[str, np.ndarray]  # of what is taken or resized; masked where new values stay
    rows: tuple[Row, ...]

    def show(self, title: str, console: Console | None = None) -> None:
        """Prints a line for each part of the models; arrays of other shapes have their own."""
        table = Table("parameters", "arrays", "what", "shapes", title=title, title_justify="left")
        groups = defaultdict(list)
        for row in self.rows:
            changed = row.wanted and row.given and row.wanted != row.given
            name = row.path if changed else "/".join(row.path.split("/")[:2])
            groups[row.what, name, f"{row.given} -> {row.wanted}" if changed else ""].append(row)
        for (what, name, shapes), rows in groups.items():
            table.add_row(name, str(len(rows)), what, shapes)
        (console or Console(highlight=False)).print(table)


def fit(shapes: Mapping[str, Shape], config: Any, source: Pretrained) -> Fit:
    """Values for a model of `config`, whose arrays have `shapes`, from a trained one.

    Arrays match by path, those of stacked layers by the number of the layer in the whole encoder.
    Tables of other sizes are resized (`vlx/interop/adapt.py`); other arrays of another shape are
    newly made. Raises UserError if nothing matches.
    """
    old = source.model.config
    given = view(by_place(source.params), config, old)
    values, rows, wanted_places = {}, [], set()
    for path, spots in places(shapes).items():
        if not spots:  # a stack of no layers
            continue
        wanted_places.update(spots)
        parts = [given.get(spot) for spot in spots]
        stacked = spots[0][1] is not None
        shape = shapes[path][1:] if stacked else shapes[path]
        fitted = [
            None if x is None else adapt(place, x, shape, config, old)
            for (place, _), x in zip(spots, parts, strict=True)
        ]
        what = _what(parts, fitted)
        if what != NEW:
            values[path] = _value(fitted, shape, stacked)
        rows.append(Row(path, what, shapes[path], _shape(parts, stacked)))
    for path, spots in places({path: x.shape for path, x in source.params.items()}).items():
        if any(spot in given and spot not in wanted_places for spot in spots):
            rows.append(Row(path, LEFT, given=source.params[path].shape))
    if not values:
        raise UserError(
            "init_from: no array has the path and shape of one of this model; is it the right file?"
        )
    return Fit(values, tuple(sorted(rows, key=lambda row: row.what)))


def _what(parts: Sequence, fitted: Sequence) -> str:
    if all(x is None for x in fitted):
        return NEW
    taken = all(x is not None and x is part for x, part in zip(fitted, parts, strict=True))
    return TAKEN if taken else RESIZED


def _value(fitted: Sequence, shape: Shape, stacked: bool) -> np.ndarray:
    """The array of all parts, masked where there is nothing."""
    filled = [np.ma.masked_all(shape, np.float32) if x is None else x for x in fitted]
    partly = any(map(np.ma.is_masked, filled))
    filled = [x if partly else np.ma.getdata(x) for x in filled]
    if not stacked:
        return filled[0]
    return np.ma.stack(filled) if partly else np.stack(filled)


def _shape(parts: Sequence, stacked: bool) -> Shape | None:
    """Of what the trained model has."""
    shapes = [x.shape for x in parts if x is not None]
    if not shapes:
        return None
    return (len(shapes), *shapes[0]) if stacked else shapes[0]
