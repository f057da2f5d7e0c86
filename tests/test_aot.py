"""Encoders as StableHLO: the same vectors from JAX alone, for any batch size."""

import json
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest
from commands.call import vlx
from data.pictures import picture
from safetensors.flax import load_file

from vlx import aot
from vlx.api import Model
from vlx.errors import UserError
from vlx.interop import native

from small_weights import plain_clip, pretrained

TEXTS = ["a red square", "two green squares", "a blue circle"]
ALONE = """
import pathlib, sys, jax, numpy as np, safetensors.flax
folder = pathlib.Path(sys.argv[1])
program = jax.export.deserialize((folder / "encode_image.jax").read_bytes())
parameters = safetensors.flax.load_file(folder / "model.safetensors")
np.save(folder / "got.npy", program.call(parameters, np.load(folder / "pixels.npy")))
assert "vlx" not in sys.modules
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model(pretrained(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def exported(tmp_path_factory, model):
    """What the command writes."""
    folder = tmp_path_factory.mktemp("exported")
    native.save(folder / "model", model.pretrained)
    done = vlx("aot", folder / "model", f"--output={folder / 'out'}")
    assert done.returncode == 0, done.stderr
    assert "encode_image.jax (" in done.stdout
    return folder / "out"


@pytest.mark.parametrize("batch", [1, 3])
def test_reloaded_programs_give_the_same_vectors(exported, model, batch):
    params = load_file(exported / "model.safetensors")
    pixels = np.stack([picture(n, 8, 12) for n in range(batch)])
    program = jax.export.deserialize((exported / "encode_image.jax").read_bytes())
    np.testing.assert_allclose(program.call(params, pixels), model.encode_image(pixels), atol=1e-6)
    ids = np.stack([model.pretrained.words.encode(text, 9) for text in TEXTS[:batch]])
    program = jax.export.deserialize((exported / "encode_text.jax").read_bytes())
    np.testing.assert_allclose(
        program.call(params, ids), model.encode_text(TEXTS[:batch]), atol=1e-6
    )


def test_it_runs_without_vlx(exported, model):
    pixels = np.stack([picture(n, 8, 12) for n in range(2)])
    np.save(exported / "pixels.npy", pixels)
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(exported)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    got = np.load(exported / "got.npy")
    np.testing.assert_allclose(got, model.encode_image(pixels), atol=1e-5)


def test_the_folder_says_what_the_programs_take(exported):
    about = json.loads((exported / "config.json").read_text())
    assert about["programs"]["encode_image"]["input"] == "uint8[B,8,12,3]"
    assert about["programs"]["encode_text"]["input"] == "int32[B,9]"
    assert about["pixels"]["statistics"] == "clip"
    assert (exported / "sentencepiece.model").is_file()


def test_texts_have_the_length_that_the_model_was_trained_with(model):
    p = model.pretrained
    shorter = replace(p, tokenizer=replace(p.tokenizer, length=6))
    assert str(aot.program(shorter, "encode_text").in_avals[-1]) == "int32[B,6]"


def test_class_tokens_and_their_absence_export(tmp_path):
    clip = pretrained(tmp_path, plain_clip())
    assert str(aot.program(clip, "encode_image").out_avals[0]) == "float32[B,13]"
    silent = replace(clip, tokenizer=None)
    assert str(aot.program(silent, "encode_text").in_avals[-1]) == "int32[B,9]"


def test_mistakes_are_named(model):
    with pytest.raises(UserError, match="--platforms=cpu,gpu: choose from cpu, cuda, tpu"):
        aot.program(model.pretrained, "encode_image", ("cpu", "gpu"))
    with pytest.raises(UserError, match="Coca has no encode_sound"):
        aot.program(model.pretrained, "encode_sound")
    done = vlx("aot", "docs")
    assert done.returncode == 2
    assert "python -m vlx aot runs/a --output=FOLDER" in done.stderr
