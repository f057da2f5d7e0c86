"""Models in official files: golden weights there and back, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from vlx.errors import UserError
from vlx.interop import FORMATS, native, official
from vlx.interop.files import read_tensors, write_tensors
from vlx.interop.pretrained import Pixels
from vlx.interop.table import to_official, to_vlx
from vlx.models import coca, parameter_shapes
from vlx.models.clip import CONFIGS, Clip

from golden_checks.case import load
from golden_checks.official import MODEL_KEYS
from small_weights import open_clip_coca, paper_coca, plain_clip, pretrained

GOLDEN = Path(__file__).parents[1] / "golden" / "coca"
CASES = {
    "forward_attnpool_tok": "open_clip_coca",
    "forward_custom_block": "open_clip_coca",
    "clip_forward_openai_layout": "clip",
    "clip_forward_custom_text_siglip": "clip",
}


def publish(folder: Path, name: str) -> dict:
    """A golden case's weights and config as open_clip publishes a model; the weights."""
    case = load(GOLDEN / f"{name}.safetensors")
    config = {k: v for k, v in case.config.items() if k in MODEL_KEYS}
    folder.mkdir(exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    write_tensors(folder / "open_clip_model.safetensors", case.group("param"), {"format": "pt"})
    return case.group("param")


@pytest.mark.parametrize("name", CASES)
def test_an_official_folder_becomes_vlx_and_comes_back(tmp_path, name):
    weights = publish(tmp_path / "official", name)
    model = official.read_whole(tmp_path / "official")
    native.save(tmp_path / "native", model)
    model = native.load(tmp_path / "native")
    official.write(tmp_path / "back", model, CASES[name])
    back = read_tensors(tmp_path / "back" / "open_clip_model.safetensors")
    again = official.read_whole(tmp_path / "back")
    assert again.model == model.model
    for path, x in model.params.items():
        np.testing.assert_array_equal(again.params[path], x)
    if name == "clip_forward_custom_text_siglip":  # comes back in the layout that it does not need
        weights = {path.removeprefix("text."): x for path, x in weights.items()}
    assert back.keys() == weights.keys()
    for path, x in weights.items():
        np.testing.assert_allclose(back[path], x, atol=1e-6)


def test_pixels_and_their_statistics_come_back(tmp_path):
    model = pretrained(tmp_path, open_clip_coca())
    pixels = Pixels((12, 12), "imagenet", "squash", "bilinear")
    official.write(tmp_path / "out", replace(model, pixels=pixels), "open_clip_coca")
    assert official.read(tmp_path / "out").pixels == pixels


def test_half_precision_becomes_float32(tmp_path):
    weights = publish(tmp_path, "clip_forward_openai_layout")
    half = {name: x.astype(np.float16) for name, x in weights.items()}
    write_tensors(tmp_path / "open_clip_model.safetensors", half, {})
    params = official.read_whole(tmp_path).params
    assert {x.dtype for x in params.values()} == {np.dtype(np.float32)}


def without_config(folder):
    (folder / "open_clip_config.json").unlink()


def with_config(change):
    def edit(folder):
        path = folder / "open_clip_config.json"
        config = json.loads(path.read_text())
        change(config)
        path.write_text(json.dumps(config))

    return edit


def with_tensors(change):
    def edit(folder):
        path = folder / "open_clip_model.safetensors"
        tensors = read_tensors(path)
        change(tensors)
        write_tensors(path, tensors, {})

    return edit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_config, "has no open_clip_config.json beside it; .*--model=coca_base"),
        (lambda f: (f / "open_clip_config.json").write_text("{"), "cannot be read: .*Copy it"),
        (with_config(lambda c: c.pop("model_cfg")), "there is no model_cfg"),
        (with_config(lambda c: c.update(preprocess_cfg={"mean": [0, 0, 0]})), "none that vlx"),
        (with_config(lambda c: c["model_cfg"].update(embed_dim=17)), "do not have the shapes that"),
        (with_tensors(lambda x: x.pop("logit_scale")), "do not fit .* missing: logit_scale"),
        (with_tensors(lambda x: x.update(more=np.ones(2))), "do not fit .* not used: more"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, message):
    publish(tmp_path, "forward_attnpool_tok")
    change(tmp_path)
    with pytest.raises(UserError, match=message):
        official.read_whole(tmp_path)


def test_tensors_of_no_known_format_are_named(tmp_path):
    write_tensors(tmp_path / "model.safetensors", {"block.weight": np.ones(2)}, {})
    with pytest.raises(UserError, match=r"no format that vlx knows \(open_clip.*block"):
        official.read(tmp_path)


def test_a_preset_says_what_a_bare_file_is(tmp_path):
    write_tensors(
        tmp_path / "x.safetensors", {"logit_scale": np.ones(1), "visual.proj": np.ones(2)}, {}
    )
    with pytest.raises(UserError, match="'ViT-B32' is unknown; did you mean 'ViT-B-32'"):
        official.read(tmp_path / "x.safetensors", model="ViT-B32")
    with pytest.raises(UserError, match="holds a clip, but the run trains a coca"):
        official.read(tmp_path / "x.safetensors", model=paper_coca())
    for given in ("ViT-B-32", CONFIGS["ViT-B-32"]):
        with pytest.raises(UserError, match="weights do not fit"):
            official.read(tmp_path / "x.safetensors", model=given)


def test_a_clip_with_a_hugging_face_text_tower_has_a_table():
    config = replace(CONFIGS["ViT-B-32"], text=coca.CONFIGS["coca_roberta-ViT-B-32"].text)
    shapes, table = parameter_shapes(Clip(config)), FORMATS["clip"].table(config, ())
    there = jax.eval_shape(lambda x: to_official(table, x), shapes)
    back = jax.eval_shape(lambda x: to_vlx(table, x), there)
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in shapes.items()}
    assert "text.proj.weight" in there


def test_openais_weights_ask_for_their_activation(tmp_path):
    tensors = {"logit_scale": np.ones(1), "visual.proj": np.ones(2), "input_resolution": np.ones(1)}
    write_tensors(tmp_path / "x.safetensors", tensors, {})
    with pytest.raises(UserError, match="trained with quick_gelu; take --model=ViT-B-32-quickgelu"):
        official.read(tmp_path / "x.safetensors", model="ViT-B-32")
    with pytest.raises(UserError, match="weights do not fit"):
        official.read(tmp_path / "x.safetensors", model="ViT-B-32-quickgelu")


def test_a_model_without_counterpart_is_refused_by_option(tmp_path):
    model = pretrained(tmp_path)
    with pytest.raises(UserError, match=r"no counterpart of this model: .*decoder.block"):
        official.write(tmp_path / "out", model, "open_clip_coca")
    assert not (tmp_path / "out").exists()


def test_a_decoder_of_another_width_than_the_image_is_refused(tmp_path):
    model = pretrained(tmp_path, replace(open_clip_coca(), embedding=32))
    with pytest.raises(UserError, match=r"width 32 and decoder\.encoder\.width=64 must be equal"):
        official.write(tmp_path / "out", model, "open_clip_coca")


def test_a_format_for_other_models_names_the_right_one(tmp_path):
    with pytest.raises(UserError, match=r"clip is for clip models .* take --format=open_clip_coca"):
        official.write(tmp_path / "out", pretrained(tmp_path), "clip")
    with pytest.raises(UserError, match="take --format=clip"):
        official.write(tmp_path / "out", pretrained(tmp_path, plain_clip()), "open_clip_coca")


def test_an_unknown_format_names_the_nearest():
    with pytest.raises(UserError, match="'open_clip_cocoa' is unknown; did you mean 'open_clip_co"):
        official.find_format("open_clip_cocoa")
    assert official.find_format("clip") is FORMATS["clip"]
