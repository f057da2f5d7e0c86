"""Configs: what is right goes through unchanged, what is wrong is refused by name."""

import json
import re
from pathlib import Path

import pytest

from vlx import cli
from vlx.config import amend, build, plain, to_dict
from vlx.errors import UserError
from vlx.train.config import RunConfig
from vlx.train.setup import resolved

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "configs").glob("*/*.py"))
LEAST = {"task": "coca", "steps": 3, "model": {"preset": "tiny"}}


@pytest.fixture
def read(tmp_path):
    """A function that reads a least recipe with flags, as commands do."""
    recipe = tmp_path / "recipe.py"
    recipe.write_text(
        "from ml_collections import ConfigDict\n\n\n"
        f"def get_config():\n    return ConfigDict({LEAST})\n"
    )

    def read(*words: str) -> RunConfig:
        try:
            cli.FLAGS(cli._define_config(["train.py", f"--config={recipe}", *words]))
            return cli.read_config()
        finally:
            for name in [n for n in cli.FLAGS if n.partition(".")[0] == "config"]:
                delattr(cli.FLAGS, name)

    return read


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_recipe_builds_and_goes_through_json_unchanged(path):
    config = resolved(build(RunConfig, plain(cli._load(str(path)))))
    text = json.dumps(to_dict(config))
    again = resolved(build(RunConfig, json.loads(text)))
    assert json.dumps(to_dict(again)) == text
    assert {k: v for k, v in vars(again).items() if k not in ("model", "loss")} == {
        k: v for k, v in vars(config).items() if k not in ("model", "loss")
    }


def test_overrides_reach_what_the_recipe_leaves_out(read):
    c = read(
        "--config.log.every=5",
        "--config.optimizer.name=sgd",
        "--config.optimizer.lr=1e-2",
        "--config.optimizer.schedule.warmup=7",
        "--config.data.crop_scale=(0.25, 1)",
        "--config.evaluate.names=('retrieval',)",
        "--config.deterministic=True",
        "--config.log.tensorboard=False",
    )
    assert c.log.every == 5
    assert (c.optimizer.name, c.optimizer.lr, c.optimizer.schedule.warmup) == ("sgd", 0.01, 7)
    assert c.data.crop_scale == (0.25, 1.0)
    assert c.evaluate.names == ("retrieval",)
    assert c.deterministic is True
    assert c.log.tensorboard is False


def test_overrides_replace_what_the_recipe_says(read):
    assert read("--config.steps=5").steps == 5
    assert read("--config.steps", "5").steps == 5
    assert read("--config.model.preset=base").model["preset"] == "base"


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.optimizer.lrs=1", r"config\.optimizer\.lrs is unknown; did you mean 'lr'\?"),
        ("--config.optimiser.lr=1", r"config\.optimiser is unknown; did you mean 'optimizer'\?"),
        ("--config.zzz=1", r"config\.zzz is unknown; known: .*batch.*task"),
        ("--config.batch.size=many", r"config\.batch\.size='many' must be a whole number"),
        ("--config.batch.size=1.5", r"config\.batch\.size=1\.5 must be a whole number"),
        ("--config.optimizer.lr=True", r"config\.optimizer\.lr=True must be a number"),
        ("--config.optimizer=3", r"config\.optimizer=3 must be a group of settings"),
        ("--config.data.crop_scale=(1,2,3)", r"crop_scale=\(1, 2, 3\) must have 2 values"),
        ("--config.freeze=text", r"config\.freeze='text' must be a list"),
        ("--config.log.every=0", r"config\.log: every=0 must be at least 1"),
        ("--config.checkpoint.keep=0", r"config\.checkpoint: keep=0 must be at least 1"),
        ("--config.evaluate.captions=0", r"config\.evaluate: captions=0 must be at least 1"),
        ("--config.checkpoint.best_mode=most", r"best_mode='most': choose max or min"),
        ("--config.steps.more=1", r"--config\.steps\.more=1: steps is a value, not a group"),
    ],
)
def test_wrong_flags_are_refused_by_name(read, flag, message):
    with pytest.raises(UserError, match=message):
        read(flag)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"preset": "tinny"}, r"config\.model\.preset='tinny' is unknown; did you mean 'tiny'\?"),
        ({"preset": "tiny", "embeding": 3}, r"config\.model\.embeding.*did you mean 'embedding'"),
        ({"preset": "tiny", "vision": {"patsh": 4}}, r"config\.model\.vision\.patsh.*'patch'"),
    ],
)
def test_wrong_models_are_refused_by_name(given, message):
    with pytest.raises(UserError, match=message):
        resolved(build(RunConfig, LEAST | {"model": given}))


def test_unknown_task_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"config\.task='coka' is unknown; did you mean 'coca'\?"):
        resolved(build(RunConfig, LEAST | {"task": "coka"}))


def test_missing_values_are_named():
    with pytest.raises(UserError, match=r"config\.task is needed and has no default"):
        build(RunConfig, {"steps": 1})


def test_the_file_is_named_where_a_value_is_wrong():
    with pytest.raises(UserError, match=re.escape("runs/a/config.json.stepps is unknown")):
        build(RunConfig, {"task": "coca", "stepps": 3}, "runs/a/config.json")


def test_amend_changes_only_what_is_given():
    c = build(RunConfig, LEAST)
    new = amend(c, {"optimizer": {"schedule": {"warmup": 3}}})
    assert new.optimizer.schedule.warmup == 3.0
    assert amend(new, {"optimizer": {"schedule": {"warmup": 0}}}) == c


def folder(tmp_path, **changes):
    return tmp_path / "run", resolved(build(RunConfig, LEAST | changes))


@pytest.mark.parametrize(
    "free",
    [
        {"log": {"every": 3}},
        {"data": {"workers": 2, "threads": 0, "path": "moved"}},
        {"model": {"preset": "tiny", "compute": {"remat": "names"}}},
        {"batch": {"micro_batches": 2}},
        {"mesh": {"fsdp": 2}},
        {"checkpoint": {"every": 3}, "evaluate": {"every": 5}},
    ],
    ids=lambda changes: "+".join(changes),
)
def test_a_run_may_go_on_with_other_settings_of_no_effect(tmp_path, free):
    cli.prepare_folder(*folder(tmp_path))
    workdir, config = folder(tmp_path, **free)
    cli.prepare_folder(workdir, config)
    assert cli.read_run(workdir) == build(RunConfig, to_dict(config))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 3}, "seed: 0 -> 3"),
        ({"optimizer": {"lr": 0.5}}, r"optimizer\.lr: 0\.001 -> 0\.5"),
        ({"batch": {"size": 512}}, r"batch\.size: 256 -> 512"),
        ({"model": {"preset": "tiny", "text_length": 9}}, r"model\.text\.length: 48 -> 9"),
    ],
)
def test_a_run_refuses_to_go_on_with_another_config(tmp_path, change, named):
    cli.prepare_folder(*folder(tmp_path))
    (tmp_path / "run" / "checkpoints" / "5").mkdir(parents=True)
    before = (tmp_path / "run" / "config.json").read_text()
    with pytest.raises(UserError, match=named):
        cli.prepare_folder(*folder(tmp_path, **change))
    assert (tmp_path / "run" / "config.json").read_text() == before


def test_a_run_made_before_a_setting_existed_goes_on(tmp_path):
    workdir, config = folder(tmp_path)
    cli.prepare_folder(workdir, config)
    (workdir / "checkpoints" / "5").mkdir(parents=True)
    file = workdir / "config.json"
    written = json.loads(file.read_text())
    del written["init_from"], written["optimizer"]["b1"]
    file.write_text(json.dumps(written))
    cli.prepare_folder(workdir, config)
    with pytest.raises(UserError, match=r"optimizer\.b1: 0\.9 -> 0\.5"):
        cli.prepare_folder(*folder(tmp_path, optimizer={"b1": 0.5}))


def test_before_the_first_checkpoint_only_what_made_the_vocabulary_is_fixed(tmp_path):
    cli.prepare_folder(*folder(tmp_path))
    cli.prepare_folder(*folder(tmp_path, optimizer={"lr": 0.5}, batch={"size": 512}))
    with pytest.raises(UserError, match=r"tokenizer\.vocab_size: 8000 -> 300"):
        cli.prepare_folder(*folder(tmp_path, tokenizer={"vocab_size": 300}))


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    _, config = folder(tmp_path)
    with pytest.raises(UserError, match=r"file/run cannot be written: Not a directory"):
        cli.prepare_folder(tmp_path / "file" / "run", config)


def test_a_folder_that_is_no_run_is_told(tmp_path):
    with pytest.raises(UserError, match=r"holds no config\.json: it is not the folder of a run"):
        cli.read_run(tmp_path)
