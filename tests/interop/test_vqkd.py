"""Files of VQ-KD and of DINO: both ways, what is dropped, what cannot be written."""

from dataclasses import replace

import numpy as np
import pytest
from small_stages import trained

from vlx import weights
from vlx.errors import UserError
from vlx.interop import dino, official, unilm_beit2_vqkd
from vlx.interop.files import read_tensors, write_tensors
from vlx.layers.multiway import MultiwayConfig
from vlx.models import parameter_shapes
from vlx.models.beit import Beit, BeitConfig
from vlx.models.vqkd import VqkdConfig

ENCODER = MultiwayConfig(10, 2, 2, 7, experts=("image",))
TOKENIZER = VqkdConfig(
    ENCODER, replace(ENCODER, layers=1), (9, 9), 3, codes=11, code_width=5, features=7
)
ALONE = BeitConfig(
    MultiwayConfig(64, 2, 1, 7, experts=("image",), biases="qkv"),
    (9, 9),
    3,
    positions=("absolute",),
    codes=0,
    pixels="imagenet",
    mean_pooling=False,
)


def same(got, want):
    assert set(got.params) == set(want.params)
    for path, x in want.params.items():
        np.testing.assert_array_equal(got.params[path], x)


@pytest.mark.parametrize("changes", [{}, {"features": 0}, {"pixels": "imagenet"}])
def test_a_tokenizer_comes_back_as_it_was(tmp_path, changes):
    source = trained(replace(TOKENIZER, **changes))
    official.write(tmp_path / "file", source, "unilm_beit2_vqkd")
    back = weights.read(tmp_path / "file")
    same(back, source)
    assert back.model.config == source.model.config
    assert back.pixels.statistics == source.model.config.pixels


def test_a_file_without_settings_needs_a_config_that_tells_its_heads(tmp_path):
    source = trained(TOKENIZER)
    official.write(tmp_path / "file", source, "unilm_beit2_vqkd")
    (tmp_path / "file" / "unilm_config.json").unlink()
    same(weights.read(tmp_path / "file", model=TOKENIZER), source)
    with pytest.raises(UserError, match="of width 10 with 2 layers is not a published one"):
        weights.read(tmp_path / "file")


def test_teachers_in_the_file_are_left_out_and_counts_made_up(tmp_path):
    source = trained(TOKENIZER)
    official.write(tmp_path / "file", source, "unilm_beit2_vqkd")
    path = tmp_path / "file" / "model.safetensors"
    state = read_tensors(path)
    np.testing.assert_array_equal(state["quantize.embedding.initted"], [1])
    kept = {name: x for name, x in state.items() if "cluster_size" not in name}
    teacher = {"teacher_model.visual.proj": np.ones((3, 2), np.float32)}
    write_tensors(path, kept | teacher, {})
    same(weights.read(tmp_path / "file"), source)


def test_pixels_that_the_official_code_has_not_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no pixels='clip'; it has inception, imagenet"):
        official.write(
            tmp_path / "x", trained(replace(TOKENIZER, pixels="clip")), "unilm_beit2_vqkd"
        )


def test_pixels_as_they_are_are_refused():
    settings = unilm_beit2_vqkd.write_config(TOKENIZER) | {"process_type": "dall-e"}
    with pytest.raises(UserError, match=r"process_type='dall-e' leaves pixels as they are"):
        unilm_beit2_vqkd.read_config(settings)


def test_a_dino_comes_back_as_it_was(tmp_path):
    source = trained(ALONE)
    official.write(tmp_path / "file", source, "dino")
    back = weights.read(tmp_path / "file")
    same(back, source)
    assert back.model.config == ALONE
    assert back.pixels.statistics == "imagenet"


def test_the_published_dino_has_its_sizes():
    shapes = parameter_shapes(Beit(dino.PRESETS["dino_vitb16"]))
    assert sum(int(np.prod(x.shape)) for x in shapes.values()) == 85_798_656
    assert shapes["image/positions"].shape == (197, 768)


@pytest.mark.parametrize(
    ("config", "format", "message"),
    [
        (replace(ALONE, classes=3), "dino", "DINO's format holds an encoder without head"),
        (ALONE, "unilm_beit", "encoder.biases='qkv' has the key's, which has none there"),
    ],
)
def test_models_of_other_forms_are_refused(tmp_path, config, format, message):
    with pytest.raises(UserError, match=message):
        official.write(tmp_path / "x", trained(config), format)
