"""Segmenters in mmsegmentation's files, and segmenters that begin as a BEiT."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from small_segmenter import ENCODER, SIZE, backbone, config, parameters
from small_stages import begin

from vlx.errors import UserError
from vlx.interop import mmseg_upernet, official
from vlx.interop.files import read_tensors, write_tensors
from vlx.interop.fit import fit
from vlx.interop.pretrained import Pixels, Pretrained
from vlx.layers.relative import image_rows
from vlx.models import beit3, parameter_shapes
from vlx.models.beit import Aggregation, Beit
from vlx.models.beit3 import Beit3, Beit3Config
from vlx.models.segmenter import CONFIGS, Segmenter
from vlx.train.partition import flatten

import small_models as small

FORMAT = "mmseg_upernet"


def segmenter(**changes) -> Pretrained:
    c = config(**changes)
    return Pretrained(Segmenter(c), flatten(parameters(c)), Pixels(c.image_size, c.pixels))


def alike(told, wanted) -> bool:
    """Whether configs agree in all but how a model starts."""
    scale = wanted.backbone.encoder.layer_scale
    encoder = replace(told.backbone.encoder, layer_scale=scale)
    return replace(told, backbone=replace(told.backbone, encoder=encoder)) == wanted


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"backbone": backbone(patch=8)},
        {"scales": (1, 2, 3, 6), "after": (1, 1, 2, 4), "dropout": 0.2, "epsilon": 1e-3},
        {"backbone": backbone(positions=("absolute", "shared_relative"))},
    ],
)
def test_an_official_folder_comes_back(tmp_path, changes):
    source = segmenter(**changes)
    official.write(tmp_path / "out", source, FORMAT)
    back = official.read_whole(tmp_path / "out")
    assert back.model.config == source.model.config
    assert (back.pixels.resize_mode, back.pixels.interpolation) == ("shortest", "bilinear")
    for path, x in source.params.items():
        np.testing.assert_array_equal(back.params[path], x)


def test_names_are_those_of_mmsegmentation(tmp_path):
    """Counts of batches too, which a strict loader asks for and vlx has not."""
    official.write(tmp_path / "out", segmenter(), FORMAT)
    tensors = read_tensors(tmp_path / "out" / "model.safetensors")
    assert tensors["decode_head.psp_modules.1.1.bn.num_batches_tracked"].shape == ()
    assert tensors["decode_head.fpn_bottleneck.conv.weight"].shape == (6, 24, 3, 3)
    assert tensors["backbone.fpn1.3.weight"].shape == (10, 10, 2, 2)
    assert not any(name.startswith(("backbone.norm", "backbone.fc_norm")) for name in tensors)


def test_tensors_tell_the_model_with_a_run_of_its_layers(tmp_path):
    c = config()
    official.write(tmp_path / "out", segmenter(), FORMAT)
    (tmp_path / "out" / "mmseg_config.json").unlink()
    assert alike(official.read_whole(tmp_path / "out", model=c).model.config, c)
    with pytest.raises(UserError, match=r"the image.* size|fits no square image"):
        official.read(tmp_path / "out", model=replace(c, backbone=backbone(image_size=(64, 64))))
    with pytest.raises(UserError, match=r"The file pools at 2 scales, which it does not name"):
        official.read(tmp_path / "out", model=config(scales=(1, 2, 3)))


def test_layers_that_no_config_knows_are_asked_for(tmp_path):
    encoder = replace(backbone().encoder, layers=5)
    c = {"backbone": replace(backbone(), encoder=encoder)}
    official.write(tmp_path / "out", segmenter(**c), FORMAT)
    (tmp_path / "out" / "mmseg_config.json").unlink()
    with pytest.raises(UserError, match=r"does not tell which of its 5 layers are read"):
        official.read(tmp_path / "out")


def test_counts_of_batches_are_not_needed(tmp_path):
    official.write(tmp_path / "out", segmenter(), FORMAT)
    path = tmp_path / "out" / "model.safetensors"
    tensors = {n: x for n, x in read_tensors(path).items() if "num_batches" not in n}
    write_tensors(path, tensors, {})
    assert official.read_whole(tmp_path / "out").model.config == config()


@pytest.mark.parametrize("name", ["base_v2", "large_v2"])
def test_settings_of_presets_come_back(name):
    c = CONFIGS[name]
    told = mmseg_upernet.read_config(mmseg_upernet.write_config(c))
    assert told == replace(c, backbone=replace(c.backbone, mean_pooling=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": 7},
        {"codes": 11, "positions": ("shared_relative",), "aggregation": Aggregation(2, after=2)},
    ],
)
def test_a_beit_becomes_the_backbone(changes):
    """Its layers are taken, its positions stretched; heads are newly made."""
    c = backbone(image_size=(48, 48), **changes)
    shapes = {path: x.shape for path, x in parameter_shapes(Beit(c)).items()}
    rng = np.random.default_rng(0)
    params = {path: rng.standard_normal(shape, np.float32) for path, shape in shapes.items()}
    source = Pretrained(Beit(c), params, Pixels(c.image_size))
    wanted = config(backbone=backbone(image_size=(64, 64)))
    fitted, tree = begin(wanted, source, fresh=0.25)
    got = flatten(tree)
    first = "encoder/lower/layers/attention/query/kernel"
    np.testing.assert_array_equal(got[f"backbone/{first}"][0], params[first][0])
    np.testing.assert_array_equal(got["backbone/image/class_token"], params["image/class_token"])
    table = got["backbone/encoder/lower/layers/relative/embedding"]
    assert table.shape == (4, image_rows((4, 4)), 2)
    shared = params.get("relative/embedding")
    own = params.get("encoder/lower/layers/relative/embedding", shared)
    np.testing.assert_allclose(table[..., -3:, :], np.broadcast_to(own[..., -3:, :], (4, 3, 2)))
    new = {row.path for row in fitted.rows if row.what == "newly made"}
    assert {path.split("/")[0] for path in new} == {"pyramid", "head", "auxiliary"}
    assert np.all(got["head/fuse/norm/mean"] == 0.25)


def test_the_image_branch_of_beit3_is_a_beit():
    """The same features from both, and a segmenter whose backbone is that branch."""
    encoder = replace(
        ENCODER, experts=("image", "text"), apart=True, inner_norm=True, epsilon=1e-5,
        layer_scale=0.0, biases="qkv", drop_together=True,
    )  # fmt: skip
    old = Beit3Config(
        encoder, SIZE, 16, vocabulary=29, text_length=5, heads=(), pad=0, mask=4, final_norm=False
    )
    params = small.draw(parameter_shapes(Beit3(old)))
    source = Pretrained(Beit3(old), params, Pixels(SIZE))
    image = small.pixels(2, SIZE)
    want = jax.jit(lambda p, x: Beit3(old).apply({"params": p}, x, method="_encode"))
    alone = replace(encoder, experts=("image",), apart=False, drop_together=False)
    branch = backbone(encoder=alone, positions=("absolute",))
    _, tree = begin(config(backbone=branch), source)
    got = jax.jit(
        lambda p, x: Beit(branch).apply({"params": p}, x, (4,), method="layer_features")[0]
    )(tree["backbone"], image)
    np.testing.assert_allclose(got, want(source.tree, image)[:, 1:], rtol=1e-5, atol=1e-5)
    larger = replace(branch, image_size=(64, 96))
    fitted, tree = begin(config(backbone=larger), source)
    assert tree["backbone"]["image"]["positions"].shape == (25, 10)
    told = {row.path: row.what for row in fitted.rows}
    assert told["backbone/image/positions"] == "resized"
    assert told["backbone/encoder/lower/layers/attention/inner_norm/scale"] == "taken"


@pytest.mark.parametrize("name", ["base", "large"])
def test_segmenters_of_beit3_take_all_of_its_image_branch(name):
    c = CONFIGS[f"{name}_beit3"]
    shapes = {p: x.shape for p, x in parameter_shapes(Segmenter(c)).items()}
    released = beit3.CONFIGS[name]
    given = {p: np.broadcast_to(np.float32(0), x.shape) for p, x in
             parameter_shapes(Beit3(released)).items()}  # fmt: skip
    fitted = fit(shapes, c, Pretrained(Beit3(released), given, Pixels(released.image_size)))
    new = {row.path.split("/")[0] for row in fitted.rows if row.what == "newly made"}
    assert new == {"pyramid", "head", "auxiliary"}
