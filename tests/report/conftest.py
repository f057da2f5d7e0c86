"""A run of a few seconds, trained and measured as users do."""

import json
import shutil

import pytest

from vlx.evaluate import build_evaluators
from vlx.evaluate.results import write
from vlx.train.log import read_metrics

from tiny_run import config, fresh_params, ready, run, write_pictures

CURVES = ("step", "loss", "contrastive", "learning_rate", "zero_shot/top1")
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


@pytest.fixture(scope="session")
def with_few_curves(finished, tmp_path_factory):
    """The same run, of which little was logged: drawing curves is most of a report's time."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("few") / "tiny")
    lines = read_metrics(folder / "metrics.jsonl")
    kept = [{name: line[name] for name in CURVES if name in line} for line in lines]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    return folder


@pytest.fixture
def copied(with_few_curves, tmp_path):
    """A copy of the run to change; called again, another of that name."""

    def copy(name: str = "tiny"):
        return shutil.copytree(with_few_curves, tmp_path / name)

    return copy
