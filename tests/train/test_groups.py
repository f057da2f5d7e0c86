"""Batches of several groups: each has its own data, and a resumed run goes on with all of them."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from vlx.config import build
from vlx.errors import DONE, INTERRUPTED, UserError
from vlx.models.dvae import Dvae, DvaeConfig
from vlx.tasks import Constant
from vlx.train.config import RunConfig
from vlx.train.log import read_metrics
from vlx.train.setup import Setup, count_steps, resolved

import small_models as small
from tiny_run import Stopping, bits, lines, run, settings, state_of, write_pictures

SIZES = {"image": 8, "text": 16, "pair": 8}
ENCODER = {"width": 16, "layers": 1, "heads": 2, "hidden": 24}
GROUPED = {
    "task": "beit3_pretraining",
    "steps": 4,
    "model": {
        "preset": "tiny", "image_size": 16, "patch": 8, "codes": 7, "vocabulary": 64,
        "text_length": 12, "encoder": ENCODER, "compute": {"scan": False},
    },
    "loss": {"tokenizer": "given"},
    "groups": {
        "image": {"size": 8, "data": {"flip": True}},
        "text": {"size": 16, "data": {"text_mask": {"share": 0.3}}},
        "pair": {"size": 8},
    },
    "data": {"target_size": 16, "patch_mask": {"patches": 2, "smallest": 1}},
    "optimizer": {"ema": 0.0},
    "evaluate": {"every": 4},
    "checkpoint": {"every": 10},
}  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def tokenizer():
    model = Dvae(DvaeConfig((16, 16), width=8, blocks=1, codes=7))
    params = small.parameters(model, np.zeros((1, 16, 16, 3), np.float32))
    return Constant(params, model, "dall_e")


def config(pictures, **changes) -> RunConfig:
    wanted = GROUPED | changes
    given = settings(pictures, **{name: x for name, x in wanted.items() if name != "model"})
    return resolved(build(RunConfig, given | {"model": wanted["model"]}))


def ready(workdir, pictures, tokenizer, **changes) -> Setup:
    c = config(pictures, **changes)
    return Setup(c, workdir, constants={"tokenizer": tokenizer})


@pytest.fixture(scope="module")
def calm(tmp_path_factory, pictures, tokenizer):
    setup = ready(tmp_path_factory.mktemp("calm"), pictures, tokenizer)
    assert run(setup) == DONE
    return setup


def test_every_group_is_in_every_step(calm):
    last = read_metrics(calm.workdir / "metrics.jsonl")
    terms = {"image_codes", "text_words", "pair_codes", "pair_words"}
    assert all(terms <= line.keys() for line in last[:-1])
    assert {f"losses/{name}" for name in terms} | {"masked_patches/accuracy"} <= last[-1].keys()
    assert state_of(calm)[1] == 4 * sum(SIZES.values())


def test_a_resumed_run_goes_on_with_all_groups(calm, tmp_path, pictures, tokenizer):
    setup = ready(tmp_path, pictures, tokenizer)
    assert run(setup, logger=lambda *x: Stopping(*x, at=2, number=15)) == INTERRUPTED
    setup = ready(tmp_path, pictures, tokenizer)
    assert run(setup) == DONE
    assert lines(setup.workdir) == lines(calm.workdir)
    assert bits(state_of(setup)[0]) == bits(state_of(calm)[0])


def test_groups_with_the_same_data_see_other_examples(calm):
    """In the same step; each order follows from the run's seed."""
    seeds = [part.config.seed for part in calm.parts.values()]
    assert len({calm.config.seed, *seeds}) == 4
    again = Setup(calm.config, calm.workdir)
    assert [part.config.seed for part in again.parts.values()] == seeds


def test_groups_differ_in_what_their_data_say(calm):
    parts = calm.parts
    assert {name: part.config.batch.size for name, part in parts.items()} == SIZES
    assert calm.config.batch.size == 32
    assert [part.config.data.flip for part in parts.values()] == [True, False, False]
    shares = [part.config.data.text_mask.share for part in parts.values()]
    assert shares[1] == 0.3 != shares[0]
    assert shares[0] == shares[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"groups": {}},
            "groups are none, and the task's, by its losses, image, text, pair",
        ),
        (
            {"groups": {**GROUPED["groups"], "pairs": {"size": 1}}},
            "give each of those a size, and others 0",
        ),
        ({"groups": {**GROUPED["groups"], "pair": {}}}, "config.groups.pair.size is needed"),
        ({"groups": {**GROUPED["groups"], "pair": {"size": -1}}}, "size=-1 must be 0 or more"),
        (
            {"task": "coca", "loss": {}, "model": {"preset": "tiny"}},
            "the task's, by its losses, none",
        ),
    ],
)
def test_groups_must_be_those_of_the_task(pictures, changes, message):
    with pytest.raises(UserError, match=message):
        config(pictures, **changes)


def test_a_group_of_size_0_is_left_out(tmp_path, pictures):
    loss = {"image_codes": 0.0, "text_words": 0.0}
    groups = {name: {"size": 0} for name in ("image", "text")} | {"pair": {"size": 8}}
    c = config(pictures, groups=groups, loss=loss)
    assert c.batch.size == 8
    assert list(Setup(c, tmp_path).parts) == ["pair"]


def test_wrong_settings_of_a_group_are_named(tmp_path, pictures, tokenizer):
    groups = {**GROUPED["groups"], "image": {"size": 8, "data": {"flop": True}}}
    with pytest.raises(UserError, match=r"config.groups.image.data.flop is unknown; did you mean"):
        ready(tmp_path, pictures, tokenizer, groups=groups).check()


def test_a_group_must_fit_the_devices(tmp_path, pictures, tokenizer):
    groups = {**GROUPED["groups"], "pair": {"size": 3}}
    setup = ready(tmp_path, pictures, tokenizer, groups=groups, mesh={"data": 2})
    setup = replace(setup, devices=jax.devices()[:2])
    with pytest.raises(UserError, match=r"groups.pair.size=3"):
        setup.check()


def test_groups_have_no_epochs(tmp_path, pictures):
    c = replace(config(pictures), steps=0, epochs=1.0)
    with pytest.raises(UserError, match=r"a run with groups has no one length; set config.steps"):
        count_steps(c, tmp_path)
