"""Masked images: which codes are told, and how images are completed by them."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from PIL import Image

from vlx.config import build
from vlx.errors import UserError
from vlx.evaluate import build_evaluators
from vlx.evaluate.masked_patches import GREY, completed, cut
from vlx.models.dvae import Dvae, DvaeConfig
from vlx.tasks import Constant
from vlx.train.config import RunConfig
from vlx.train.setup import Setup, resolved

import small_models as small

CODES = 7
GIVEN = {
    "task": "beit",
    "steps": 1,
    "model": {
        "preset": "tiny", "image_size": 32, "patch": 8, "codes": CODES,
        "encoder": {"width": 16, "layers": 1, "heads": 2, "hidden": 24},
    },
    "loss": {"codes": 1.0, "tokenizer": "given"},
    "data": {
        "source": "shapes", "threads": 0, "target_size": 32,
        "patch_mask": {"patches": 6, "smallest": 1, "exact": True},
    },
    "evaluate": {"names": ("masked_patches",), "batch_size": 8, "examples": 21},
}  # fmt: skip


def ready(workdir, devices: int) -> Setup:
    model = Dvae(DvaeConfig((32, 32), width=8, blocks=1, codes=CODES))
    params = small.parameters(model, np.zeros((1, 32, 32, 3), np.float32))
    tokenizer = Constant(params, model, "dall_e")
    config, constants = resolved(build(RunConfig, GIVEN)), {"tokenizer": tokenizer}
    return Setup(config, workdir, constants=constants, devices=jax.devices()[:devices])


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """(workdir, metrics) on one device and on eight; 21 examples are no whole batches."""
    found = {}
    for devices in (1, 8):
        setup = ready(tmp_path_factory.mktemp(f"on{devices}"), devices)
        params = small.draw(setup.program.shapes[0])
        with jax.set_mesh(setup.mesh):
            found[devices] = setup, params, build_evaluators(setup)["masked_patches"](params)
    return found


def test_what_is_told_is_counted(measured):
    setup, params, metrics = measured[1]
    source, transform = setup.source("val"), setup.transforms[1]
    examples = [transform(source[n]) for n in range(21)]
    batch = {name: np.stack([x[name] for x in examples]) for name in examples[0]}
    tokenizer, model = setup.constants["tokenizer"], setup.task.model
    codes = tokenizer("tokens", batch["target_image"])
    image = (batch["image"].astype(np.float32) / 255 - 0.5) / 0.5
    logits = model.apply({"params": params}, image, batch["patch_mask"], method="code_logits")
    hits = (np.argmax(logits, axis=-1) == codes)[batch["patch_mask"]]
    assert hits.size == 21 * 6
    assert metrics["accuracy"] == pytest.approx(hits.mean())


def test_devices_change_nothing(measured):
    (one, _, first), (eight, _, second) = measured[1], measured[8]
    assert first == pytest.approx(second)
    kept = [x.workdir / "evaluations" / "masked_patches-val.json" for x in (one, eight)]
    assert json.loads(kept[0].read_text()) == json.loads(kept[1].read_text())


def test_examples_are_kept_with_three_pictures_each(measured):
    folder = measured[1][0].workdir / "evaluations"
    examples = json.loads((folder / "masked_patches-val.json").read_text())
    assert len(examples) == 8  # no more than a batch
    assert {x["hidden"] for x in examples} == {6}
    for x in examples:
        with Image.open(folder / "masked_patches-val" / f"{x['index']}.jpg") as picture:
            assert picture.size == (96, 32)


def test_patches_are_cut_and_filled_where_they_are_hidden():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    patches = cut(image[None], (2, 3))[0]
    np.testing.assert_array_equal(patches[4], image[2:, 2:4])
    hidden = np.arange(6) == 4
    whole, gaps, full = np.split(completed(image, hidden, 255 - patches, (2, 3)), 3, axis=1)
    np.testing.assert_array_equal(whole, image)
    assert (gaps[2:, 2:4] == GREY).all()
    np.testing.assert_array_equal(full[2:, 2:4], 255 - image[2:, 2:4])
    np.testing.assert_array_equal(full[:2], image[:2])


def test_tasks_without_hidden_patches_are_refused(tmp_path):
    given = GIVEN | {"loss": {"classes": 1.0}, "model": GIVEN["model"] | {"codes": 0, "classes": 9}}
    c = resolved(build(RunConfig, given))
    setup = replace(ready(tmp_path, 1), config=c)
    with pytest.raises(UserError, match=r"'masked_patches' is for tasks that predict codes"):
        build_evaluators(setup)["masked_patches"]({})
