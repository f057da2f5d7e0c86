"""A run of a few seconds, trained and measured as users do."""

import shutil

import pytest

from vlx.evaluate import build_evaluators
from vlx.evaluate.results import write

from tiny_run import config, fresh_params, ready, run, write_pictures

EVALUATORS = ("captioning", "retrieval", "zero_shot", "likelihood")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a run whose last state was measured; not to be changed."""
    folder = tmp_path_factory.mktemp("report")
    # A model that has hardly learned may write nothing by itself.
    evaluate = {"names": EVALUATORS, "batch_size": 8, "caption_prefix": "picture of"}
    setup = ready(folder / "tiny", config(write_pictures(folder / "pictures"), evaluate=evaluate))
    evaluators = build_evaluators(setup)
    assert run(setup, evaluators) == 0
    params = fresh_params(setup)
    results = {name: measure(params, 9) for name, measure in evaluators.items()}
    write(setup.workdir, 9, "val", results)
    return setup.workdir


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the run to change; called again, another of that name."""

    def copy(name: str = "tiny"):
        return shutil.copytree(finished, tmp_path / name)

    return copy
