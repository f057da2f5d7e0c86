"""attentional_probe: it learns what patches tell, alike on any mesh, and refuses what it cannot."""

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data.pictures import encoded

from vlx.config import build
from vlx.errors import UserError
from vlx.evaluate import build_evaluators
from vlx.evaluate.attentional import AttentionalProbe, learn
from vlx.evaluate.context import Context
from vlx.evaluate.encode import Encoder
from vlx.evaluate.probes import labelled_splits
from vlx.models.beit import CONFIGS as BEITS
from vlx.models.beit import Beit
from vlx.models.beit3 import Beit3
from vlx.models.coca import Coca
from vlx.models.vlmo import Vlmo
from vlx.train.config import RunConfig
from vlx.train.setup import Setup, resolved

from small_models import VISION, beit3, coca, vlmo
from tiny_run import config, fresh_params, ready

COLOURS = np.array([[40, 40, 200], [200, 40, 40], [40, 200, 40]], np.uint8)


def write_colours(folder, labels=(0, 1, 2), names: bool = False, column: bool = True):
    """Squares of a noisy colour, labelled by it: 22 to learn from and 13 to classify."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for split, count, known in (("train", 22, (0, 1, 2)), ("val", 13, labels)):
        label = [known[n % len(known)] for n in range(count)]
        noise = rng.integers(0, 40, (count, 19, 17, 3), np.uint8)
        columns = {
            "image": [encoded(COLOURS[n % 3] + x) for n, x in zip(label, noise, strict=True)],
            "text": ["a square"] * count,
        }
        columns |= {"label": pa.array(label, pa.int32())} if column else {}
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")
    if names:
        (folder / "classnames.txt").write_text("blue\nred\ngreen\n")
    return folder


@pytest.fixture
def setup(tmp_path):
    def setup(devices: int = 1, data=None, **evaluate):
        evaluate = {"names": ("attentional_probe",), "batch_size": 8, "probe_lr": 1e-2} | evaluate
        pictures = write_colours(tmp_path / "pictures", **(data or {}))
        return ready(tmp_path / "run", config(pictures, evaluate=evaluate), devices)

    return setup


def measure(setup):
    return build_evaluators(setup)["attentional_probe"](fresh_params(setup))


@pytest.mark.parametrize("names", [False, True])
def test_what_patches_tell_is_learned(setup, names):
    metrics = measure(setup(8, {"names": names}, probe_steps=30))
    assert metrics["top1"] == 1
    assert metrics["chance"] == pytest.approx(1 / 3)


def test_a_probe_that_hardly_learns_guesses(setup):
    assert measure(setup(1, probe_steps=1, probe_lr=1e-9))["top1"] < 0.7


def test_one_device_and_eight_learn_the_same(setup):
    found = []
    for devices in (1, 8):
        s = setup(devices, probe_steps=7, probe_lr=1e-3)
        encoder = Encoder(s.task, s.tokenizer, 12, 8, s.mesh)
        context = Context(s, "val", encoder, "val")
        weights = learn(context, fresh_params(s), labelled_splits(context)[0], 3)
        weights = jax.tree.map(np.asarray, weights)
        x = np.random.default_rng(0).normal(size=(5, 4, 16)).astype(np.float32)
        found.append(AttentionalProbe(3).apply({"params": weights}, x))
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "model",
    [
        Coca(coca()),
        Coca(coca(vision=VISION)),
        Vlmo(vlmo()),
        Beit3(beit3()),
        Beit3(beit3(apart=False)),
        Beit(BEITS["tiny"]),
        Beit(BEITS["base_v2"]),
        Beit(BEITS["base_1k"]),
    ],
    ids=lambda model: type(model).__name__,
)
def test_models_give_every_patch(model):
    hash(model)  # what is compiled for it is kept by it
    c = model.config
    image = jnp.zeros((2, *c.image_size, 3))
    text = [jnp.zeros((2, 5), jnp.int32)] if hasattr(c, "text_length") else []
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), image, *text))
    got = jax.eval_shape(lambda p: model.apply(p, image, method="patch_tokens"), params)
    grid, width = (c.vision.grid, 10) if hasattr(c, "vision") else (c.grid, c.encoder.width)
    assert got.shape == (2, grid[0] * grid[1], width)


def test_a_model_without_patches_is_refused(tmp_path):
    given = {"task": "dvae", "steps": 1, "model": {"preset": "tiny"}}
    given["evaluate"] = {"batch_size": 8, "names": ("attentional_probe",)}
    s = Setup(resolved(build(RunConfig, given)), tmp_path)
    with pytest.raises(UserError, match=r"Dvae has no patch_tokens\. Leave attentional_probe out"):
        build_evaluators(s)["attentional_probe"]({})


def test_data_without_labels_are_refused(setup):
    with pytest.raises(UserError, match=r"attentional_probe needs labels, .* data\.label_column"):
        measure(setup(1, {"column": False}))


def test_a_label_that_nothing_was_learned_of_is_refused(setup):
    message = r"'val' has the label 4, but the images .* have none above 2; set evaluate\.probe_exa"
    with pytest.raises(UserError, match=message):
        measure(setup(1, {"labels": (0, 1, 4)}))


def test_a_label_without_a_name_is_refused(setup):
    with pytest.raises(UserError, match=r"attentional_probe has 3 class names, .* the label 4"):
        measure(setup(1, {"labels": (0, 1, 4), "names": True}, probe_steps=1))


def test_a_probe_needs_steps(setup):
    with pytest.raises(UserError, match="probe_steps=0 must be at least 1"):
        setup(probe_steps=0)
