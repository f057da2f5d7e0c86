"""What a model of one form takes over from another: tables of other sizes, parts that are merged.

An encoder's layers stand under paths without their stack, see `vlx/interop/stacks.py`.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from vlx.interop.positions import resize_grid, resize_length
from vlx.interop.relative import fit_relative_table
from vlx.interop.stacks import Place, Shape
from vlx.models import name_of
from vlx.models.vlmo_config import IMAGE

Given = dict[Place, np.ndarray]
# (table, wanted shape, new config, old config) -> the table itself if it fits, one of the wanted
# shape, masked where the old table says nothing, or None if it is of no use.
Rule = Callable[[np.ndarray, Shape, Any, Any], np.ndarray | None]

RELATIVE, SHARED = "encoder/layers/relative/embedding", "relative/embedding"


def adapt(path: str, table: np.ndarray, wanted: Shape, new: Any, old: Any) -> np.ndarray | None:
    """An array of the trained model for the same place of the new one, as a Rule gives it."""
    rule = RULES.get(name_of(new), {}).get(path)
    if rule is None:
        return table if table.shape == wanted else None
    return rule(table, wanted, new, old) if table.shape[1:] == wanted[1:] else None


def view(given: Given, new: Any, old: Any) -> Given:
    """The values of a trained model as a model of the new form would hold them."""
    change = VIEWS.get((name_of(old), name_of(new)))
    return change(given, new, old) if change else given


def _grid(antialias: bool) -> Rule:
    """Positions of patches, and perhaps of a class token before them."""

    def rule(table, wanted, new, old):
        new, old = (getattr(c, "vision", c) for c in (new, old))
        extra, surplus = _rows_before_patches(new), _reserved(old) - _reserved(new)
        if surplus < 0 or _rows_before_patches(old) - surplus != extra:
            return None
        table = table[surplus:] if surplus else table
        if table.shape == wanted and new.grid == old.grid:  # 2 x 6 patches are not 3 x 4
            return table
        # Without a config of its own a file tells its grid by the number of rows alone.
        grid = old.grid if len(table) == extra + np.prod(old.grid) else None
        return resize_grid(table, new.grid, extra, grid, antialias)

    return rule


def _rows_before_patches(c: Any) -> int:
    """Of a table of positions: of a class token, and reserved ones."""
    return int(getattr(c, "class_token", True)) + _reserved(c)


def _reserved(c: Any) -> int:
    return getattr(getattr(c, "image_tokens", None), "reserved", 0)


def _length(table, wanted, new, old):
    """Positions in a text, stretched."""
    has_class = [getattr(c.text, "class_token", False) for c in (new, old)]
    if table.shape == wanted:
        return table
    return resize_length(table, wanted[0]) if has_class[0] == has_class[1] else None


def _first_rows(table, wanted, new, old):
    """Positions in a text, cut; those of longer texts are missing."""
    if len(table) >= wanted[0]:
        return table if len(table) == wanted[0] else table[: wanted[0]]
    result = np.ma.masked_all(wanted, table.dtype)
    result[: len(table)] = table
    return result


def _kinds(table, wanted, new, old):
    """Kinds of tokens: a second image begins as the first."""
    rows = np.minimum(np.arange(wanted[0]), len(table) - 1)
    return table if table.shape == wanted else table[rows]


def _relative(table, wanted, new, old):
    """A table of relative positions of images, and perhaps of texts."""
    sizes = [(c.grid, getattr(c, "longest", 0)) for c in (old, new)]
    return table if sizes[0] == sizes[1] else fit_relative_table(table, *sizes)


_OPEN_CLIP = {"image/positions": _grid(antialias=True), "text/positions": _length}
_POSITIONS = {"image/positions": _grid(antialias=False)}
_UNILM = {**_POSITIONS, RELATIVE: _relative}

# The new model's name -> path -> how its table follows from one of another size.
RULES: dict[str, dict[str, Rule]] = {
    "beit": {**_UNILM, SHARED: _relative},
    "beit3": {**_UNILM, "text/positions/embedding": _first_rows},
    "clip": _OPEN_CLIP,
    "coca": _OPEN_CLIP,
    "segmenter": {f"backbone/{path}": rule for path, rule in _UNILM.items()},
    "vlmo": {**_UNILM, "text/positions/embedding": _first_rows, "types/embedding": _kinds},
    "vqkd": {
        f"{part}/{path}": rule
        for part in ("encoder", "decoder")
        for path, rule in _POSITIONS.items()
    },
}


def _own_relative(given: Given, new: Any, old: Any) -> Given:
    """Relative positions that all layers share become part of each layer's own."""
    if "shared_relative" in new.positions or (SHARED, None) not in given:
        return given
    rest = {place: x for place, x in given.items() if place != (SHARED, None)}
    layers = [(RELATIVE, layer) for layer in range(old.encoder.layers)]
    shared = given[SHARED, None]
    return rest | {place: shared + given[place] if place in given else shared for place in layers}


def _image_branch(given: Given, new: Any, old: Any) -> Given:
    """What images have of their own in attention becomes that of all tokens."""
    own = re.compile(r"(.*(?:query|key|value|out|_norm))/image/(.*)")
    found = {place: own.fullmatch(place[0]) for place in given}
    return {("/".join(m.groups()), x[1]) if m else x: given[x] for x, m in found.items()}


def _as_backbone(given: Given, new: Any, old: Any) -> Given:
    """An encoder of images becomes that of a segmenter."""
    given = view(given, new.backbone, old)
    return {(f"backbone/{path}", layer): x for (path, layer), x in given.items()}


def _image_alone(given: Given, new: Any, old: Any) -> Given:
    """The vector that tells images from texts becomes part of all image tokens."""
    kinds = "types/embedding", None
    rest = {place: x for place, x in given.items() if place != kinds}
    tokens = [("image/class_token", None), ("image/patches/projection/bias", None)]
    return rest | {place: given[place] + given[kinds][IMAGE] for place in tokens}


# (the old model's name, the new one's) -> what has another place there.
VIEWS: dict[tuple[str, str], Callable[[Given, Any, Any], Given]] = {
    ("beit", "beit"): _own_relative,
    ("beit", "vlmo"): _own_relative,
    ("vlmo", "beit"): _image_alone,
    ("beit3", "beit"): _image_branch,
    **{(old, "segmenter"): _as_backbone for old in ("beit", "beit3", "vlmo")},
}
