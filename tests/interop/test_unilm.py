"""Files of VLMo, BEiT and its tokenizer: there and back, what they tell alone, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from small_stages import DVAE, beit, beit3, classes, trained, vlmo

from vlx.errors import UserError
from vlx.interop import official, unilm_beit, unilm_beit2, unilm_vlmo_config
from vlx.interop.files import read_tensors, write_tensors
from vlx.layers.multiway import MultiwayConfig
from vlx.layers.relative import image_index
from vlx.models import beit as beits
from vlx.models import vlmo as vlmos
from vlx.models.beit import Aggregation

SETTINGS = "unilm_config.json"
MODELS = {
    "language": ("unilm_vlmo", vlmo(0, heads=("words",))),
    "pairs": ("unilm_vlmo", vlmo()),
    "retrieval": ("unilm_vlmo", vlmo(heads=("contrastive",))),
    "answers": ("unilm_vlmo", vlmo(heads=("answers",))),
    "statements": ("unilm_vlmo", vlmo(heads=("truth",))),
    "absolute": ("unilm_vlmo", vlmo(2, 0.0, positions="absolute", image_size=(6, 9))),
    "both": ("unilm_vlmo", vlmo(positions="both")),
    "captions": ("unilm_beit3", beit3()),
    "pre-training": ("unilm_beit3", beit3(apart=False, heads=("words", "codes"), codes=11)),
    "questions": ("unilm_beit3", beit3(heads=("answers",), answers=5)),
    "codes": ("unilm_beit", beit(positions=("shared_relative",))),
    "classes": ("unilm_beit", classes()),
    "aggregated": (
        "unilm_beit2",
        beit(
            positions=("shared_relative",), aggregation=Aggregation(2, after=2), pixels="imagenet"
        ),
    ),
    "aggregated apart": (
        "unilm_beit2",
        beit(aggregation=Aggregation(1, after=3, own_head=True), pixels="imagenet"),
    ),
    "classes of v2": ("unilm_beit2", classes(pixels="imagenet")),
    "class_token": ("unilm_beit", classes(mean_pooling=False, positions=("absolute",))),
    "tokenizer": ("dall_e", DVAE),
}


def alike(a, b) -> bool:
    """Whether configs differ at most in how a model starts, and in what it has no part for."""
    if hasattr(a, "encoder"):
        scale = b.encoder.layer_scale if a.encoder.layer_scale else 0.0
        a = replace(a, encoder=replace(a.encoder, layer_scale=scale))
    if "answers" not in getattr(a, "heads", ("answers",)):
        a = replace(a, answers=b.answers)
    if getattr(a, "positions", "") == "absolute":
        a = replace(a, longest=b.longest)
    return a == b


@pytest.mark.parametrize("name", MODELS)
def test_an_official_folder_comes_back(tmp_path, name):
    chosen, config = MODELS[name]
    config = config if chosen != "dall_e" else replace(config, image_size=(112, 112))
    source = trained(config)
    official.write(tmp_path / "out", source, chosen)
    back = official.read_whole(tmp_path / "out")
    assert alike(source.model.config, back.model.config)
    for path, x in source.params.items():
        np.testing.assert_array_equal(back.params[path], x)
    assert (back.tokenizer is None) == (chosen not in ("unilm_vlmo", "unilm_beit3"))
    assert back.pixels.statistics == getattr(config, "pixels", back.pixels.statistics)
    assert back.pixels.resize_mode == "squash"


@pytest.mark.parametrize(
    "name", ["pairs", "absolute", "codes", "class_token", "aggregated", "aggregated apart"]
)
def test_tensors_alone_and_a_run_of_that_size_tell_the_model(tmp_path, name):
    chosen, config = MODELS[name]
    official.write(tmp_path / "out", trained(config), chosen)
    (tmp_path / "out" / SETTINGS).unlink()
    assert alike(official.read_whole(tmp_path / "out", model=config).model.config, config)


def test_a_vision_file_is_told_by_the_run_that_begins_with_it(tmp_path):
    """Positions of each token tell no heads; the encoder that is to be is as large."""
    config = beit(0.0, positions=("absolute",))
    official.write(tmp_path / "out", trained(config), "unilm_beit")
    (tmp_path / "out" / SETTINGS).unlink()
    run = vlmo(0, 0.0, positions="absolute")
    assert alike(official.read_whole(tmp_path / "out", model=run).model.config, config)


def test_index_arrays_tell_the_image_and_are_not_needed(tmp_path):
    official.write(tmp_path / "out", trained(vlmo()), "unilm_vlmo")
    tensors = read_tensors(tmp_path / "out" / "model.safetensors")
    tensors |= {"relative_position_index": image_index((3, 3))}
    path = tmp_path / "model.safetensors"
    write_tensors(path, {f"module.{name}": x for name, x in tensors.items()}, {})
    model = official.read_whole(path).model
    assert (model.config.image_size, model.config.longest) == ((9, 9), 8)


def test_index_arrays_of_another_image_are_refused(tmp_path):
    official.write(tmp_path / "out", trained(classes()), "unilm_beit")
    path = tmp_path / "out" / "model.safetensors"
    tensors = read_tensors(path)
    name = f"blocks.0.attn.{unilm_beit.INDEX}"
    write_tensors(path, tensors | {name: tensors[name][::-1]}, {})
    with pytest.raises(UserError, match=r"blocks\.0\.attn\.relative_position_index differs from"):
        official.read(path)


@pytest.mark.parametrize(
    ("model", "write", "read"),
    [
        (config, module.write_config, module.read_config)
        for configs, module in ((vlmos.CONFIGS, unilm_vlmo_config), (beits.CONFIGS, unilm_beit))
        for config in configs.values()
    ],
)
def test_settings_of_presets_come_back(model, write, read):
    """But for how fresh kernels are drawn, which trained weights do not depend on."""
    usual = MultiwayConfig.deviation
    assert read(write(model)) == replace(model, encoder=replace(model.encoder, deviation=usual))


def bare(tmp_path, config, chosen):
    official.write(tmp_path / "out", trained(config), chosen)
    (tmp_path / "out" / SETTINGS).unlink(missing_ok=True)
    return tmp_path / "out" / "model.safetensors"


def test_a_size_that_nobody_published_is_named(tmp_path):
    path = bare(tmp_path, vlmo(1, 0.0, positions="absolute"), "unilm_vlmo")
    with pytest.raises(
        UserError, match=r"width 10 with 3 layers is not a published one, .*init_fr"
    ):
        official.read(path)


def test_a_table_that_fits_no_image_is_named(tmp_path):
    path = bare(tmp_path, vlmo(), "unilm_vlmo")
    with pytest.raises(UserError, match="has 46 rows, which fits no square image and texts of 196"):
        official.read(path)


def test_oblong_images_ask_for_their_run(tmp_path):
    config = classes(image_size=(6, 9))
    path = bare(tmp_path, config, "unilm_beit")
    with pytest.raises(UserError, match=r"18 rows, which fits no square image; .*init_from"):
        official.read(path)
    assert official.read(path, model=config).model.config.image_size == (6, 9)
    path = bare(
        tmp_path / "absolute", beit(0.0, positions=("absolute",), image_size=(6, 9)), "unilm_beit"
    )
    with pytest.raises(UserError, match="6 image positions make no square"):
        official.read(path, model=beit())


def test_where_patches_are_aggregated_is_asked_for(tmp_path):
    path = bare(tmp_path, MODELS["aggregated"][1], "unilm_beit2")
    with pytest.raises(
        UserError, match=r"after which of its 3 layers .*config\.model\.aggregation"
    ):
        official.read(path)


def test_only_the_format_tells_classes_of_v2_from_those_of_v1(tmp_path):
    """Their tensors have the same names; pixels differ."""
    path = bare(tmp_path, MODELS["classes of v2"][1], "unilm_beit2")
    assert official.read(path).pixels.statistics == "inception"
    assert official.read(path, "unilm_beit2").pixels.statistics == "imagenet"


@pytest.mark.parametrize(
    ("name", "width", "side"),
    [
        ("beit_base_patch16_224_8k_vocab_cls_pt", 768, 14),
        ("beit_large_patch16_512", 1024, 32),
        ("beit_giant_patch14_224", 1408, 16),
    ],
)
def test_registered_models_have_their_official_names(name, width, side):
    c = unilm_beit2.PRESETS[name]
    assert (c.encoder.width, c.grid, c.pixels) == (width, (side, side), "imagenet")
    assert len(unilm_beit2.PRESETS) == 18


def test_a_file_of_another_format_is_named(tmp_path):
    path = bare(tmp_path, beit(), "unilm_beit")
    with pytest.raises(UserError, match=r"is not VLMo of unilm.* it lacks 'transformer\.patch_emb"):
        official.read(path, "unilm_vlmo")


def test_a_model_without_positions_is_named(tmp_path):
    path = bare(tmp_path, beit(positions=()), "unilm_beit")
    with pytest.raises(UserError, match="no positions of any kind"):
        official.read(path)


@pytest.mark.parametrize("name", ["itm_score.fc.bias", "transformer.norm.weight"])
def test_missing_tensors_are_named(tmp_path, name):
    path = bare(tmp_path, vlmo(), "unilm_vlmo")
    tensors = read_tensors(path)
    del tensors[name]
    write_tensors(path, tensors, {})
    with pytest.raises(UserError, match=f"missing: {name}"):
        official.read(path, model=vlmo())


def test_settings_that_are_cut_are_named(tmp_path):
    official.write(tmp_path / "out", trained(vlmo()), "unilm_vlmo")
    (tmp_path / "out" / SETTINGS).write_text("{}")
    with pytest.raises(UserError, match=r"unilm_config\.json lacks 'arch'; copy it again"):
        official.read(tmp_path / "out")


def test_what_the_official_code_lacks_is_refused(tmp_path):
    config = vlmo()
    config = replace(config, encoder=replace(config.encoder, epsilon=1e-5))
    with pytest.raises(UserError, match=r"no counterpart of this model: encoder\.epsilon=1e-05"):
        official.write(tmp_path / "out", trained(config), "unilm_vlmo")
    with pytest.raises(UserError, match="an encoder alone, and this model has a decoder"):
        official.write(tmp_path / "out", trained(replace(DVAE, decoder=True)), "dall_e")
    assert not (tmp_path / "out").exists()


def test_tensors_of_unknown_heads_beside_beit3_are_named(tmp_path, caplog):
    """The released files of pre-training hold such."""
    source = trained(beit3(heads=()))
    official.write(tmp_path, source, "unilm_beit3")
    path = tmp_path / "model.safetensors"
    write_tensors(path, {**read_tensors(path), "a_head.weight": np.zeros((3, 10))}, {})
    read = official.read_whole(tmp_path)
    assert set(read.params) == set(source.params)
    assert "no head of BEiT-3 has these names: a_head.weight" in caplog.text


def test_what_beit3s_code_cannot_build_is_named(tmp_path):
    config = beit3()
    config = replace(config, encoder=replace(config.encoder, inner_norm=False))
    with pytest.raises(UserError, match=r"encoder.inner_norm=False is always True there"):
        official.write(tmp_path / "out", trained(config), "unilm_beit3")
