"""A run that begins with a trained model: `init_from` of a folder, a run, an official file."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from processes import forked

from vlx import cli, weights
from vlx.config import build, to_dict
from vlx.errors import UserError
from vlx.evaluate import build_evaluators
from vlx.initialise import initialiser
from vlx.interop import native, official
from vlx.train.config import RunConfig
from vlx.train.log import Logger
from vlx.train.loop import train

from small_weights import open_clip_coca, pretrained
from tiny_run import config, ready, settings, write_pictures, write_recipe

SHORT = {"steps": 2, "evaluate": {"every": 0, "names": ("retrieval",)}, "checkpoint": {"every": 2}}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


def go(setup) -> int:
    """Trains as train.py does."""
    c = setup.config
    cli.prepare_folder(setup.workdir, c)
    setup.check()
    initialise = initialiser(setup)
    logger = Logger(setup.workdir, c.log, c.steps)
    return train(setup, build_evaluators(setup), logger, initialise)


@pytest.fixture(scope="module")
def first(tmp_path_factory, pictures):
    """A finished run."""
    setup = ready(tmp_path_factory.mktemp("first") / "run", config(pictures, **SHORT))
    assert go(setup) == 0
    return setup


def begins_with(setup) -> dict:
    """The parameters before the first step."""
    state = setup.new_state()
    params = initialiser(setup)(state.params)
    assert jax.tree.map(lambda x: x.sharding, params) == jax.tree.map(
        lambda x: x.sharding, state.params
    )
    return flatten_dict(jax.device_get(params), sep="/")


@pytest.mark.slow
def test_a_run_begins_with_the_averages_of_another(tmp_path, pictures, first, capsys):
    c = config(pictures, **SHORT, init_from=str(first.workdir))
    source = weights.read(first.workdir)
    params = begins_with(ready(tmp_path, c))
    for path, x in source.params.items():
        np.testing.assert_array_equal(params[path], x)
    told = capsys.readouterr().out
    assert "taken" in told
    assert "The vocabulary is the trained model's." in told
    words = "tokenizer/sentencepiece.model"
    assert (tmp_path / words).read_bytes() == (first.workdir / words).read_bytes()


def test_a_folder_serves_a_model_of_another_size(tmp_path, pictures, first, capsys):
    native.save(tmp_path / "model", weights.read(first.workdir))
    larger = {"model": {"image_size": 24}, "data": {"train_split": "val"}}
    c = config(pictures, **SHORT, **larger, init_from=str(tmp_path / "model"))
    setup = ready(tmp_path / "run", c)
    assert begins_with(setup)["image/positions"].shape == (9, 16)
    assert "resized" in capsys.readouterr().out
    assert (
        setup.tokenizer.encode("picture 3", 12).tolist()
        == first.tokenizer.encode("picture 3", 12).tolist()
    )


def test_it_counts_only_before_the_first_checkpoint(tmp_path, pictures, first):
    folder = tmp_path / "model"
    native.save(folder, weights.read(first.workdir))
    c = config(pictures, **SHORT, init_from=str(folder))
    assert go(ready(tmp_path / "run", c)) == 0
    (folder / "model.safetensors").unlink()
    again = ready(tmp_path / "run", c)
    assert initialiser(again) is None
    assert go(again) == 0


def test_an_official_file_is_read_by_its_table(tmp_path, pictures, capsys):
    trained = pretrained(tmp_path, open_clip_coca())
    official.write(tmp_path / "official", trained, "open_clip_coca")
    model = weights.read(tmp_path / "official").model
    given = to_dict(model.config)
    c = config(pictures, **SHORT, init_from=str(tmp_path / "official"))
    c = build(RunConfig, to_dict(c) | {"model": given})
    params = begins_with(ready(tmp_path / "run", c))
    for path, x in trained.params.items():
        np.testing.assert_array_equal(params[path], x)
    assert "run's own (sentencepiece), not the trained model's" in capsys.readouterr().out


def test_a_wrong_place_is_named_before_anything_is_made(tmp_path, pictures):
    c = config(pictures, **SHORT, init_from=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"config\.init_from: .*nowhere: there is no such file"):
        initialiser(ready(tmp_path / "run", c))


def test_a_run_without_checkpoint_is_named(tmp_path, pictures, first):
    (tmp_path / "config.json").write_text((first.workdir / "config.json").read_text())
    with pytest.raises(UserError, match="holds no checkpoint yet"):
        weights.read(tmp_path)


def test_train_py_reads_it(tmp_path, pictures):
    recipe = write_recipe(tmp_path, settings(pictures, init_from="nowhere"))
    done = forked("train.py", f"--config={recipe}", f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 2
    assert done.stderr == "error: config.init_from: nowhere: there is no such file or folder.\n"
