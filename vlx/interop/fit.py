"""Parameters of one model as the start of another: what is taken, resized, newly made, left."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from vlx.errors import UserError
from vlx.interop.positions import resize_grid, resize_length
from vlx.interop.pretrained import Pretrained

TAKEN, RESIZED, NEW, LEFT = "taken", "resized", "newly made", "left"
Shape = tuple[int, ...]


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

    values: Mapping[str, np.ndarray]  # of what is taken or resized
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

    Arrays match by path. Position tables of other sizes are resized; other arrays of another shape
    are newly made. Raises UserError if nothing matches.
    """
    values, rows = {}, []
    for path, wanted in shapes.items():
        given = source.params.get(path)
        if given is None:
            rows.append(Row(path, NEW, wanted))
        elif given.shape == wanted and not _moved(path, config, source.model.config):
            values[path] = given
            rows.append(Row(path, TAKEN, wanted, given.shape))
        else:
            resized = _resize(path, given, wanted, config, source.model.config)
            if resized is not None:
                values[path] = resized
            what = NEW if resized is None else RESIZED
            rows.append(Row(path, what, wanted, given.shape))
    left = [Row(path, LEFT, given=x.shape) for path, x in source.params.items()]
    rows += [row for row in left if row.path not in shapes]
    if not values:
        raise UserError(
            "init_from: no array has the path and shape of one of this model; is it the right file?"
        )
    return Fit(values, tuple(sorted(rows, key=lambda row: row.what)))


def _moved(path: str, new: Any, old: Any) -> bool:
    """Whether equally many positions stand for other places, as 2 x 6 patches for 3 x 4."""
    return path == "image/positions" and new.vision.grid != old.vision.grid


def _resize(path: str, table: np.ndarray, wanted: Shape, new: Any, old: Any) -> np.ndarray | None:
    """The position table in the wanted shape; None for what cannot be resized."""
    if table.shape[1:] != wanted[1:]:
        return None
    if path == "image/positions" and new.vision.class_token == old.vision.class_token:
        extra = int(new.vision.class_token)
        # Without a config of its own a file tells its grid by the number of rows alone.
        grid = old.vision.grid if len(table) == extra + np.prod(old.vision.grid) else None
        return resize_grid(table, new.vision.grid, extra, grid)
    has_class = [getattr(c.text, "class_token", False) for c in (new, old)]
    if path == "text/positions" and has_class[0] == has_class[1]:
        return resize_length(table, wanted[0])
    return None
