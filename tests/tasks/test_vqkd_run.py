"""Runs of VQ-KD: the codebook is in checkpoints, in exports, and in runs that begin with it."""

import shutil

import jax
import numpy as np
import pytest
from small_stages import trained

from vlx import cli, weights
from vlx.config import build
from vlx.constants import with_constants
from vlx.errors import UserError
from vlx.evaluate import build_evaluators
from vlx.initialise import initialiser
from vlx.interop import native, official
from vlx.interop.fit import RESIZED, TAKEN, fit
from vlx.layers.multiway import MultiwayConfig
from vlx.models.beit import BeitConfig
from vlx.tasks import whole
from vlx.tasks.task import MODEL
from vlx.train.checkpoint import FOLDER, Checkpoints
from vlx.train.config import RunConfig
from vlx.train.log import Logger, read_metrics
from vlx.train.loop import train
from vlx.train.partition import flatten
from vlx.train.setup import Setup, resolved

from tiny_run import bits

TOWER = {"width": 10, "layers": 1, "heads": 2, "hidden": 7}
MODEL_GIVEN = {
    **{"preset": "tiny", "image_size": 36, "patch": 12, "codes": 11, "code_width": 5},
    **{"features": 10, "encoder": TOWER, "decoder": TOWER, "compute": {"scan": False}},
}
GIVEN = {
    "task": "vqkd",
    "steps": 4,
    "data": {"source": "shapes", "threads": 0},
    "batch": {"size": 8},
    "optimizer": {"ema": 0.9, "lr": 1e-2},
    "evaluate": {"every": 4, "batch_size": 8, "examples": 16},
    "checkpoint": {"every": 2},
    "log": {"every": 1, "tensorboard": False},
}


def setup_of(workdir, model=MODEL_GIVEN, **changes) -> Setup:
    """A run of four steps on the built-in world, on two devices."""
    config = resolved(build(RunConfig, GIVEN | {"model": model} | changes))
    cli.prepare_folder(workdir, config)
    return with_constants(Setup(config, workdir, devices=jax.devices()[:2]))


def go(setup: Setup) -> None:
    logger = Logger(setup.workdir, setup.config.log, setup.config.steps)
    assert train(setup, build_evaluators(setup), logger, initialiser(setup)) == 0


def state_of(setup: Setup):
    checkpoints = Checkpoints(setup.workdir, setup.config.checkpoint, read_only=True)
    return checkpoints.restore(checkpoints.find(), setup.program.abstract_state)[0]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    encoder = MultiwayConfig(**TOWER, experts=("image",), biases="qkv")
    config = BeitConfig(encoder, (36, 36), 12, positions=("absolute",), codes=0)
    folder = tmp_path_factory.mktemp("vqkd") / "teacher"
    native.save(folder, trained(config))
    return {"teacher": str(folder)}


@pytest.fixture(scope="module")
def run(tmp_path_factory, teacher):
    """A finished run."""
    setup = setup_of(tmp_path_factory.mktemp("vqkd") / "run", loss=teacher)
    go(setup)
    return setup


def codebook(setup: Setup) -> np.ndarray:
    return np.asarray(state_of(setup).buffers[MODEL]["codebook"])


def test_a_resumed_run_has_the_same_codebook_bit_for_bit(run, teacher, tmp_path):
    resumed = setup_of(tmp_path / "run", loss=teacher)
    shutil.copytree(run.workdir / FOLDER / "2", resumed.workdir / FOLDER / "2")
    go(resumed)
    assert bits(state_of(resumed)) == bits(state_of(run))
    assert read_metrics(resumed.workdir / "metrics.jsonl")[0]["step"] == 3


def test_code_usage_is_evaluated(run):
    values = read_metrics(run.workdir / "metrics.jsonl")
    last = {name: x for line in values for name, x in line.items()}
    assert 1 / 11 <= last["codes/used"] <= 1
    assert 1 <= last["codes/perplexity"] <= 11 * last["codes/used"] + 1e-4
    assert {"losses/reconstruct", "losses/quantize", "codes_in_use"} <= set(last)


def test_the_codebook_goes_wherever_the_model_goes(run, tmp_path):
    """From a run to a native folder, to an official file, and into another run."""
    read = weights.read(run.workdir)
    np.testing.assert_array_equal(read.params["codebook"], codebook(run))
    native.save(tmp_path / "native", read)
    official.write(tmp_path / "official", read, "unilm_beit2_vqkd")
    for name in ("native", "official"):
        back = weights.read(tmp_path / name)
        assert back.model.config.encoder.heads == read.model.config.encoder.heads
        assert set(back.params) == set(read.params)
        for path, x in back.params.items():
            np.testing.assert_array_equal(x, read.params[path])
    begun = setup_of(tmp_path / "run", loss=run.config.loss, init_from=str(tmp_path / "official"))
    state = begun.new_state()
    params = initialiser(begun)(whole(state.params, state.buffers))
    np.testing.assert_array_equal(params["codebook"], codebook(run))


def test_a_run_that_begins_with_a_tokenizer_keeps_its_codes(run, tmp_path):
    """No k-means, and at a decay of nearly one no movement either."""
    loss = {**run.config.loss, "decay": 0.999999}
    begun = setup_of(tmp_path / "run", loss=loss, init_from=str(run.workdir), steps=1)
    go(begun)
    np.testing.assert_allclose(codebook(begun), codebook(run), atol=1e-5)


def masked(run, folder, size: int) -> Setup:
    """A run of masked patches whose tokenizer is the folder of `run` and sees so many pixels."""
    encoder = {**TOWER, "experts": ("image",)}
    model = {"preset": "tiny", "image_size": 36, "patch": 12, "codes": 11, "encoder": encoder}
    data = {**GIVEN["data"], "target_size": size, "patch_mask": {"patches": 4, "smallest": 1}}
    loss = {"codes": 1.0, "tokenizer": str(run.workdir)}
    return setup_of(folder, model, task="beit", loss=loss, data=data)


def prepared(setup: Setup, image: np.ndarray) -> dict:
    batch = {"target_image": image, "patch_mask": np.zeros((len(image), 9), bool)}
    return setup.task.prepare({}, {}, batch, 0, None, setup.constants)[0]


def test_its_codes_are_what_masked_patches_are_told_by(run, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (3, 36, 36, 3), dtype=np.uint8)
    got = prepared(masked(run, tmp_path / "run", 36), image)["codes"]
    params = {"params": weights.read(run.workdir).tree}
    want = run.task.model.apply(params, image / 127.5 - 1, method="tokens")
    np.testing.assert_array_equal(got, want)


def test_it_sees_pictures_of_one_size(run, tmp_path):
    with pytest.raises(UserError, match=r"have 36 x 36 pixels, and these 24 x 24. Set data.target"):
        prepared(masked(run, tmp_path / "run", 24), np.zeros((3, 24, 24, 3), np.uint8))


def test_a_larger_tokenizer_begins_with_all_of_a_smaller_one(run, tmp_path):
    """Positions of encoder and decoder are resized; everything else is taken."""
    larger = {**MODEL_GIVEN, "image_size": 48}
    begun = setup_of(tmp_path / "run", larger, loss=run.config.loss, init_from=str(run.workdir))
    shapes = {path: x.shape for path, x in flatten(whole(*begun.program.shapes)).items()}
    rows = fit(shapes, begun.task.config, weights.read(run.workdir)).rows
    assert {row.what for row in rows} == {TAKEN, RESIZED}
    resized = {row.path for row in rows if row.what == RESIZED}
    assert resized == {"encoder/image/positions", "decoder/image/positions"}


def test_usage_is_of_tokenizers_alone(tmp_path):
    encoder = {**TOWER, "experts": ("image",)}
    model = {"preset": "tiny", "image_size": 36, "patch": 12, "codes": 0, "classes": 3}
    loss = {"classes": 1.0}
    made = resolved(
        build(
            RunConfig,
            GIVEN | {"task": "beit", "model": {**model, "encoder": encoder}, "loss": loss},
        )
    )
    evaluator = build_evaluators(Setup(made, tmp_path), ["codes"])["codes"]
    with pytest.raises(UserError, match="'codes' is for visual tokenizers, and Beit is none"):
        evaluator({})
