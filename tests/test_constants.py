"""Foreign networks of a run: read once, on the devices, the same on every resume."""

import json

import jax
import numpy as np
import pytest

from vlx.config import build
from vlx.constants import FILE, with_constants
from vlx.errors import UserError
from vlx.interop import native
from vlx.interop.pretrained import Pixels, Pretrained
from vlx.models import parameter_shapes
from vlx.models.dvae import Dvae, DvaeConfig
from vlx.train.config import RunConfig
from vlx.train.setup import Setup, count_steps, resolved

import small_models as small

TOKENIZER = DvaeConfig((32, 32), width=8, blocks=1, codes=5)
ENCODER = {"width": 8, "layers": 1, "heads": 2, "hidden": 8}


@pytest.fixture
def tokenizer(tmp_path):
    """A folder with random weights."""

    def write(name: str, seed: int):
        model = Dvae(TOKENIZER)
        params = small.draw(parameter_shapes(model), seed)
        params = {path: np.asarray(x) for path, x in params.items()}
        native.save(tmp_path / name, Pretrained(model, params, Pixels((32, 32), "dall_e")))
        return tmp_path / name

    return write


def setup(path, workdir, **data) -> Setup:
    """A run of masked image modelling on the shapes world."""
    given = {
        "task": "beit",
        "steps": 1,
        "model": {"preset": "tiny", "patch": 12, "codes": 5, "encoder": ENCODER},
        "loss": {"codes": 1.0, "tokenizer": str(path)},
        "data": {"source": "shapes", "threads": 0, "target_size": 32} | data,
        "batch": {"size": 2},
    }
    given["data"]["patch_mask"] = {"patches": 6, "smallest": 2}
    made = Setup(resolved(build(RunConfig, given)), workdir, devices=jax.devices()[:1])
    workdir.mkdir(exist_ok=True)
    return made


def batch_of(made: Setup):
    transform = made.transforms[0]
    rows = [transform(made.train_source[n], np.random.default_rng(n)) for n in range(2)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def test_codes_come_from_the_networks_own_view(tokenizer, tmp_path):
    made = with_constants(setup(tokenizer("codes", 1), tmp_path / "run"))
    batch = batch_of(made)
    prepared, _ = made.task.prepare({}, {}, batch, 0, None, made.constants)
    constant = made.constants["tokenizer"]
    want = constant("tokens", batch["target_image"])
    assert want.shape == batch["patch_mask"].shape
    np.testing.assert_array_equal(prepared["codes"], want)
    assert len(np.unique(want)) > 1


def test_checkpoints_hold_no_constants(tokenizer, tmp_path):
    made = with_constants(setup(tokenizer("codes", 1), tmp_path / "run"))
    state = made.program.abstract_state
    held = {str(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)}
    assert not any("decoder" in path or "conv_1" in path for path in held)


def test_a_resume_needs_the_same_weights(tokenizer, tmp_path):
    first, other = tokenizer("codes", 1), tokenizer("other", 2)
    workdir = tmp_path / "run"
    with_constants(setup(first, workdir))
    assert json.loads((workdir / FILE).read_text())["tokenizer"]["path"] == str(first)
    with_constants(setup(first, workdir))
    with pytest.raises(UserError, match=r"other weights than when this run began; put the old"):
        with_constants(setup(other, workdir))


def test_a_missing_network_is_named(tmp_path):
    with pytest.raises(UserError, match=r"config.loss.tokenizer: .*nowhere: there is no such file"):
        with_constants(setup(tmp_path / "nowhere", tmp_path / "run"))


def test_views_must_have_a_code_for_every_patch(tokenizer, tmp_path):
    made = with_constants(setup(tokenizer("codes", 1), tmp_path / "run", target_size=48))
    with pytest.raises(UserError, match=r"36 codes for an image of 48 pixels, the model 16"):
        made.task.prepare({}, {}, batch_of(made), 0, None, made.constants)


def test_masked_patches_need_a_tokenizer(tmp_path):
    with pytest.raises(UserError, match=r"config.loss.tokenizer is empty; name a trained one"):
        with_constants(setup("", tmp_path / "run"))


def counted(**changes):
    data = {"source": "shapes", "threads": 0, "train_split": "val"}
    given = {"task": "dvae", "model": {"preset": "tiny"}, "data": data, "batch": {"size": 300}}
    return build(RunConfig, given | changes)


def test_epochs_become_steps(tmp_path):
    pictures = len(Setup(counted(steps=1), tmp_path).train_source)
    assert count_steps(counted(epochs=2.5), tmp_path).steps == int(2.5 * pictures) // 300
    assert count_steps(counted(steps=7, epochs=2.5), tmp_path).steps == 7


def test_a_run_needs_steps_or_epochs(tmp_path):
    with pytest.raises(UserError, match=r"config.steps=0 must be at least 1; or set config.epochs"):
        counted()
    with pytest.raises(UserError, match=r"make no batch of 20000; set batch.size=10000 or less"):
        count_steps(counted(epochs=1.0, batch={"size": 20000}), tmp_path)
