"""A captioner that writes in place of masks: trained, measured and loaded like any other."""

import json
from dataclasses import replace

import numpy as np
import pytest
from data.pictures import picture

import vlx
from vlx.decode import DecodeOptions, Writer
from vlx.errors import UserError
from vlx.interop import native
from vlx.models.beit3 import Beit3
from vlx.train.log import read_metrics

from tiny_run import config, ready, run, write_pictures

BEIT3 = {
    **{"preset": "tiny", "image_size": 16, "patch": 8, "vocabulary": 64, "text_length": 12},
    "encoder": {"width": 16, "layers": 1, "heads": 2, "hidden": 24},
    "compute": {"scan": False},
}
BEAMS = {"method": "beam", "beams": 2, "score": "one_finished"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("masked_captioning") / "pictures")


def given(pictures, **model):
    c = config(
        pictures,
        data={"text_mask": {"unit": "caption", "share": 0.7}},
        optimizer={"no_decay": (r".*(bias|scale)",)},
        evaluate={"decode": BEAMS, "names": ("captioning", "likelihood")},
    )
    return replace(c, task="beit3", model=BEIT3 | model, loss={"captions": 1.0}, steps=8)


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    setup = ready(tmp_path_factory.mktemp("masked_captioning") / "run", given(pictures))
    assert run(setup) == 0
    return setup


def test_training_lowers_the_loss_and_captions_are_measured(trained):
    read = read_metrics(trained.workdir / "metrics.jsonl")
    losses = [line["captions"] for line in read if "captions" in line]
    assert losses[-1] < losses[0]
    measured = [line for line in read if "captioning/cider_d" in line]
    assert [line["step"] for line in measured] == [4, 8]
    assert all(np.isfinite(line["likelihood/perplexity"]) for line in measured)
    captions = json.loads((trained.workdir / "evaluations" / "captions-val.json").read_text())
    assert len(captions) == 13
    assert all(caption["score"] < 0 for caption in captions)


def test_a_run_and_its_export_write_alike(trained, tmp_path):
    photos = [picture(n, 16, 16) for n in range(3)]
    model = vlx.load(trained.workdir)
    native.save(tmp_path / "model", model.pretrained)
    texts = model.caption(photos)
    assert len(texts) == 3
    assert vlx.load(tmp_path / "model").caption(photos) == texts
    assert model.caption(photos[0], DecodeOptions(**BEAMS), prefix="picture").startswith("picture")


def test_without_its_head_it_cannot_write(trained):
    model = Beit3(replace(trained.task.config, heads=("words",)))
    with pytest.raises(UserError, match=r"Beit3 was trained without the part 'captions'"):
        Writer(model, "inception", trained.tokenizer, DecodeOptions(), trained.mesh)


@pytest.mark.parametrize("name", ["mask", "pad"])
def test_special_tokens_must_be_the_tokenizers(pictures, tmp_path, name):
    setup = ready(tmp_path, given(pictures, **{name: 9}))
    with pytest.raises(UserError, match=rf"The {name} of the tokenizer is .*set model\.{name}="):
        setup.check_tokenizer()
