"""`python -m vlx codes`, and a run that takes what it wrote."""

from dataclasses import replace

import pytest
from commands.call import vlx
from small_codes import GROUPS, values, write_tokenizer

from vlx.config import build
from vlx.constants import read_constants
from vlx.train.config import RunConfig
from vlx.train.setup import Setup, resolved

from tiny_run import write_pictures, write_recipe


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    pictures = write_pictures(folder / "pictures")
    loss = {**GROUPS["loss"], "tokenizer": str(write_tokenizer(folder / "tokenizer"))}
    return write_recipe(folder, values(pictures, {**GROUPS, "loss": loss}))


def call(recipe, *flags):
    return vlx("codes", f"--config={recipe}", *flags)


def test_a_run_takes_the_codes_of_its_group(recipe, tmp_path):
    flags = "--group=image", "--views=2", f"--output={tmp_path / 'codes'}"
    for _ in range(2):  # the second finds everything done
        done = call(recipe, *flags)
        assert done.returncode == 0, done.stderr
        assert "2 views of 29 records, 4 codes each (0.0 MiB)" in done.stderr
    assert {x.name for x in (tmp_path / "codes").iterdir()} == {"codes.npy", "about.json"}
    c = config_of(recipe)
    groups = {**c.groups, "image": {"size": 8, "data": {"codes": str(tmp_path / "codes")}}}
    setup = read_constants(Setup(replace(c, groups=groups), tmp_path / "run"))
    setup.check()
    assert setup.parts["image"].train_source[3]["codes"].shape == (2, 4)


def config_of(recipe) -> RunConfig:
    found = {}
    exec(recipe.read_text(), found)
    return resolved(build(RunConfig, found["get_config"]().to_dict()))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "Give a folder for the codes: --output=codes"),
        (("--output=FOLDER",), "--group='': the groups of this run are image, pair."),
        (("--output=FOLDER", "--group=text"), "--group='text': the groups of this run are image"),
    ],
)
def test_mistakes_are_named(recipe, tmp_path, flags, message):
    done = call(recipe, *(flag.replace("FOLDER", str(tmp_path / "codes")) for flag in flags))
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "codes").exists()
