"""Runs that compute the same share what they compile; what differs is never shared."""

import pytest

from vlx.tasks.coca import CocaTask

from tiny_run import bits, config, ready, run, state_of, write_pictures

DECAY = {"layer_decay": {"image": 0.5}}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def program(pictures, tmp_path_factory):
    """The program of a run with these settings."""
    folder = tmp_path_factory.mktemp("runs")

    def program(devices: int = 2, **changes):
        return ready(folder, config(pictures, **changes), devices).program

    return program


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seed": 3},
        {"steps": 7},
        {"data": {"flip": True}},
        {"optimizer": {"lr": 0.5, "schedule": {"name": "constant"}}},
        {"batch": {"size": 16}},
    ],
    ids=lambda changes: "+".join(changes),
)
def test_what_reaches_a_step_as_an_argument_makes_no_other_program(program, changes):
    assert program(**changes) is program()


@pytest.mark.parametrize(
    "changes",
    [
        {"devices": 1},
        {"model": {"embedding": 14}},
        {"loss": {"contrastive": 0.5}},
        {"freeze": ("image/.*",)},
        {"batch": {"micro_batches": 2}},
        {"optimizer": {"b1": 0.8}},
        {"optimizer": DECAY},
    ],
    ids=str,
)
def test_what_changes_the_computation_makes_another(program, changes):
    assert program(**changes) is not program()
    assert program(**changes) is program(**changes)


def test_a_second_run_traces_nothing_and_trains_as_its_own_seed_says(
    pictures, tmp_path, monkeypatch
):
    def trained(name: str, **changes):
        setup = ready(tmp_path / name, config(pictures, steps=2, **changes))
        assert run(setup, {}) == 0
        return bits(state_of(setup)[0])

    first = trained("first")
    traced, embed = [], CocaTask.embed
    monkeypatch.setattr(CocaTask, "embed", lambda *given: traced.append(1) or embed(*given))
    assert trained("other", seed=1) != first
    assert trained("same") == first
    assert traced == []
    trained("small", batch={"size": 4})
    assert traced  # shapes are part of what is compiled
