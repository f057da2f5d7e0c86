"""Recipes with a table of settings: every name in it makes a run."""

import runpy
from pathlib import Path

import pytest

from vlx.config import build, plain
from vlx.train.config import RunConfig
from vlx.train.setup import resolved

RECIPES = sorted((Path(__file__).parents[1] / "configs").glob("*/*.py"))
TABLES = {path: runpy.run_path(str(path)).get("RECIPES", {}) for path in RECIPES}
NAMES = [(path, name) for path, table in TABLES.items() for name in table]


@pytest.mark.parametrize(
    ("path", "name"), NAMES, ids=[f"{path.parent.name}/{path.stem}:{name}" for path, name in NAMES]
)
def test_every_name_makes_a_run(path, name):
    recipe = plain(runpy.run_path(str(path))["get_config"](name))
    config = resolved(build(RunConfig, recipe))
    rate = config.optimizer.lr
    assert rate == TABLES[path][name].get("lr", rate)
