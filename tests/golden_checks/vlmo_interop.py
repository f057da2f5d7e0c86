"""Checks of how VLMo's stages follow from each other."""

import tempfile
from pathlib import Path

import numpy as np

from vlx.interop import official, unilm_beit, unilm_vlmo
from vlx.interop.files import write_tensors
from vlx.interop.fit import LEFT, NEW, TAKEN, Fit, fit
from vlx.interop.positions import resize_grid
from vlx.interop.pretrained import Pretrained
from vlx.interop.relative import fit_relative_table
from vlx.interop.table import to_official
from vlx.interop.unilm_vlmo_config import read_config
from vlx.models import parameter_shapes
from vlx.models.beit import Beit
from vlx.models.vlmo import Vlmo, VlmoConfig
from vlx.tasks.vlmo import FROZEN_BY_TEXTS
from vlx.train.partition import partition

from golden_checks.case import Case, Ratios

CLASSIFIERS = ("vqa_classifier.", "nlvr2_classifier.")  # the official code makes them afterwards


def check_convert(case: Case) -> Ratios:
    c = read_config(case.config)
    source = read_source(case, c)
    shapes = {path: x.shape for path, x in parameter_shapes(Vlmo(c)).items()}
    fitted, table, want = fit(shapes, c, source), unilm_vlmo.table(c), case.group("out")
    fresh = {path: np.zeros(shape, np.float32) for path, shape in shapes.items()}
    values = {path: np.ma.filled(x, 0) for path, x in fitted.values.items()}
    got = to_official(table, fresh | values)
    marked = {row.path: row.what for row in fitted.rows}
    missing = named(table, {path: marked[path] == NEW for path in shapes}, shapes)
    missing |= {unilm_vlmo.POSITION_IDS} - set(case.group("in"))
    assert missing == set(case.config["missing_keys"]), missing ^ set(case.config["missing_keys"])
    unexpected = left_of(case, source, fitted)
    assert unexpected == set(case.config["unexpected_keys"]), sorted(unexpected)
    assert set(want) <= set(got)
    check_frozen(case, table, fresh, shapes)
    taken = named(table, {path: marked[path] == TAKEN for path in shapes}, shapes)
    copied = {name for name in want if name in taken or name == unilm_vlmo.POSITION_IDS}
    wrong = [name for name in copied if not np.array_equal(got[name], want[name])]
    assert not wrong, wrong
    return case.compare({name: got[name] for name in want})


def read_source(case: Case, like: VlmoConfig) -> Pretrained:
    """What is read from a file of the case's tensors."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        write_tensors(path, case.group("in"), {})
        return official.read_whole(path, model=like)


def named(table, marks: dict[str, bool], shapes: dict) -> set[str]:
    """Official names of the marked parameters, but those of classifiers."""
    full = {path: np.full(shape, marks[path]) for path, shape in shapes.items()}
    names = {name for name, mark in to_official(table, full).items() if mark.all()}
    return {x for x in names - {unilm_vlmo.POSITION_IDS} if not x.startswith(CLASSIFIERS)}


def left_of(case: Case, source: Pretrained, fitted: Fit) -> set[str]:
    """Official names of what the account says is left, as the official loader calls them."""
    left = {row.path for row in fitted.rows if row.what == LEFT}
    shapes = {path: x.shape for path, x in source.params.items()}
    marks = {path: path in left for path in shapes}
    config = source.model.config
    if not isinstance(source.model, Beit):
        return named(unilm_vlmo.table(config), marks, shapes)
    full = {path: np.full(shape, marks[path]) for path, shape in shapes.items()}
    official_marks = to_official(unilm_beit.table(config), full)
    names = {
        name
        for name in case.group("in")
        if name.endswith(unilm_beit.INDEX) or np.all(official_marks[name])
    }
    return {f"transformer.{name}" for name in names}


def check_frozen(case: Case, table, fresh: dict, shapes: dict) -> None:
    """The language stage trains the parameters that the official code does, and no others."""
    if "trainable" not in case.config:
        return
    trained = partition(fresh, (), FROZEN_BY_TEXTS).trained
    names = named(table, {path: path in trained for path in shapes}, shapes)
    assert names == set(case.config["trainable"]), names ^ set(case.config["trainable"])
    frozen = named(table, {path: path not in trained for path in shapes}, shapes)
    assert frozen == set(case.config["frozen"]), frozen ^ set(case.config["frozen"])


def check_relative(case: Case) -> Ratios:
    got = {}
    for i, given in enumerate(case.config["cases"]):
        longest = given["max_text_len_of_initckpt"]
        sizes = [(tuple(given[f"window_{way}"]), longest) for way in ("from", "to")]
        resized = fit_relative_table(case.tensors[f"in/{i}/table"], *sizes)
        assert not np.ma.is_masked(resized)
        got[f"{i}/table"] = np.ma.getdata(resized)
    return case.compare(got)


def check_positions(case: Case) -> Ratios:
    got = {}
    for i, given in enumerate(case.config["cases"]):
        table, side = case.tensors[f"in/{i}/pos_embed"][0], given["grid_to"]
        got[f"{i}/pos_embed"] = resize_grid(table, (side, side), 1, antialias=False)[None]
    return case.compare(got)


CHECKS = {
    "convert": check_convert,
    "resize_relative_table": check_relative,
    "resize_pos_embed": check_positions,
}
