"""Losses of examples: the same in any batches, and refused where there are none."""

import pytest

from vlx.errors import UserError
from vlx.evaluate import build_evaluators
from vlx.tasks.coca import CocaTask

from tiny_run import config, fresh_params, ready, write_pictures


@pytest.fixture(scope="module")
def measure(tmp_path_factory):
    folder = tmp_path_factory.mktemp("losses")
    pictures = write_pictures(folder / "pictures")

    def measure(devices: int = 1, size: int = 8, **loss):
        settings = {"names": ("losses",), "batch_size": size}
        setup = ready(folder / "run", config(pictures, evaluate=settings, loss=loss), devices)
        return build_evaluators(setup)["losses"](fresh_params(setup))

    return measure


def test_batches_and_devices_change_no_mean(measure):
    want = measure()
    assert set(want) == {"captioning"}
    assert measure(devices=2, size=4) == pytest.approx(want)


def test_a_task_that_only_compares_examples_is_refused(measure):
    with pytest.raises(UserError, match="every term of this task compares the examples"):
        measure(captioning=0.0)


def test_the_next_evaluation_traces_nothing(measure, monkeypatch):
    measure()
    traced, embed = [], CocaTask.embed
    monkeypatch.setattr(CocaTask, "embed", lambda *given: traced.append(1) or embed(*given))
    measure()
    assert traced == []
    measure(size=4)
    assert traced  # a batch of another size is another program
