"""What a stage takes of the one before: laws of what both compute, and the account of it."""

import functools
from dataclasses import replace

import jax
import numpy as np
import pytest
from small_stages import begin, beit, classes, trained, vlmo

from vlx.errors import UserError
from vlx.interop.fit import LEFT, NEW, RESIZED, TAKEN, fit
from vlx.interop.relative import fit_relative_table, resize_relative_table
from vlx.layers.relative import image_rows, table_rows
from vlx.models import MODELS, name_of, parameter_shapes

import small_models as small

RELATIVE = "encoder/lower/layers/relative/embedding"


@functools.cache
def function(config, method):
    model = MODELS[name_of(config)].module(config)
    return jax.jit(lambda params, *x: model.apply({"params": params}, *x, method=method))


def run(config, params, method, *inputs):
    return np.asarray(function(config, method)(params, *inputs))


def image(config):
    return small.pixels(2, config.image_size)


def what(fitted) -> dict[str, str]:
    return {row.path: row.what for row in fitted.rows}


def same(a, b):
    np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pair_layers", [0, 1, 2, 3])
def test_layers_keep_their_numbers_however_they_are_split(pair_layers):
    """Images and texts alone are encoded as before, whichever layers have experts for pairs."""
    old, new = vlmo(heads=("words",)), vlmo(pair_layers, heads=("words",))
    source = trained(old)
    fitted, params = begin(new, source)
    text = small.words(2)
    same(run(new, params, "features", image(new)), run(old, source.tree, "features", image(old)))
    want = run(old, source.tree, "words", None, text)
    same(run(new, params, "words", None, text), want)
    told = what(fitted)
    if 0 < pair_layers < 3:
        assert told["encoder/upper/layers/attention/query/kernel"] == TAKEN
        value = fitted.values["encoder/upper/layers/pair/mlp/up/kernel"]
        assert told["encoder/upper/layers/pair/mlp/up/kernel"] == (
            TAKEN if pair_layers == 1 else RESIZED
        )
        masked = np.ma.getmaskarray(value).all(axis=(1, 2))
        assert masked.tolist() == [True] * (pair_layers - 1) + [False]
    if pair_layers == 0:
        left = {path for path, x in told.items() if x == LEFT}
        assert {path.split("/")[3] for path in left} == {"pair"}


@pytest.mark.parametrize("positions", ["relative", "shared_relative", "absolute"])
def test_a_language_stage_begins_with_a_vision_stage(positions):
    """A model of images and texts encodes images as the BEiT that it began with."""
    scale = 0.0 if positions == "absolute" else 0.1
    old = beit(positions=(positions,), scale=scale)
    kind = "absolute" if positions == "absolute" else "relative"
    new = vlmo(0, scale, positions=kind, heads=("words",))
    source = trained(old)
    fitted, params = begin(new, source)
    same(run(new, params, "features", image(new)), run(old, source.tree, "features", image(old)))
    told = what(fitted)
    assert told["encoder/lower/layers/text/mlp/up/kernel"] == NEW
    assert told["norm/scale"] == told["encoder/lower/layers/image/mlp/up/kernel"] == TAKEN
    left = {path for path, x in told.items() if x == LEFT}
    assert left == {"image/mask_token", "code_head/kernel", "code_head/bias"}
    if kind == "relative":
        assert told[RELATIVE] == RESIZED
        rest = fitted.values[RELATIVE][:, image_rows(old.grid) :]
        assert np.ma.getmaskarray(rest).all()


def test_a_model_of_classes_begins_with_the_image_expert():
    """It encodes images as the model of images and texts did, whose mark of images it takes in."""
    old = vlmo(heads=("contrastive", "words"))
    source = trained(old)
    new = classes(mean_pooling=False)
    fitted, params = begin(new, source)
    tokens = run(beit(), {**params, "image": with_mask(params)}, "features", image(new))
    same(tokens, run(old, source.tree, "features", image(old)))
    told = what(fitted)
    assert told["class_head/kernel"] == NEW
    assert told["encoder/upper/layers/pair/mlp/up/kernel"] == LEFT
    assert told["encoder/lower/layers/text/mlp/up/kernel"] == LEFT


def with_mask(params):
    return params["image"] | {"mask_token": np.zeros(10, np.float32)}


@pytest.mark.parametrize("wanted", ["shared_relative", "relative"])
def test_a_shared_table_stays_or_becomes_that_of_each_layer(wanted):
    old, new = beit(positions=("shared_relative",)), beit(positions=(wanted,))
    source = trained(old)
    _, params = begin(new, source)
    same(run(new, params, "features", image(new)), run(old, source.tree, "features", image(old)))


@pytest.mark.parametrize(("longest", "masked"), [(5, 0), (8, 0), (11, 6)])
def test_texts_of_another_length_keep_their_distances(longest, masked):
    """Also where the model could read longer ones, or less long ones than before."""
    old, new = vlmo(heads=("words",)), vlmo(heads=("words",), longest=longest)
    source = trained(old)
    fitted, params = begin(new, source)
    text = small.words(2)
    pair = image(old), text
    same(run(new, params, "words", *pair), run(old, source.tree, "words", *pair))
    if longest != 8:
        value = fitted.values[RELATIVE]
        assert np.ma.getmaskarray(value).any(axis=(0, 2)).sum() == masked


def test_positions_of_texts_are_cut_or_go_on():
    old = vlmo(positions="absolute", text_length=5)
    source, path = trained(old), "text/positions/embedding"
    table = source.params[path]
    shorter = begin(vlmo(positions="absolute", text_length=3), source)[0]
    np.testing.assert_array_equal(shorter.values[path], table[:3])
    longer = begin(vlmo(positions="absolute", text_length=7), source)[0]
    np.testing.assert_array_equal(longer.values[path][:5], table)
    assert np.ma.getmaskarray(longer.values[path]).any(axis=1).tolist() == [False] * 5 + [True] * 2
    assert what(longer)[path] == what(shorter)[path] == RESIZED


def test_a_second_image_begins_with_the_kind_of_the_first():
    source = trained(vlmo())
    table = source.params["types/embedding"]
    fitted = begin(vlmo(heads=("truth",)), source)[0]
    np.testing.assert_array_equal(fitted.values["types/embedding"], table[[0, 1, 1]])
    assert what(fitted)["types/embedding"] == RESIZED
    again = begin(vlmo(), trained(vlmo(heads=("truth",))))[0]
    assert again.values["types/embedding"].shape == (2, 10)


@pytest.mark.parametrize("positions", ["relative", "absolute"])
def test_larger_images_resize_all_tables_of_patches(positions):
    source = trained(vlmo(positions=positions))
    new = vlmo(positions=positions, image_size=(15, 12))
    fitted = begin(new, source)[0]
    told, resized = what(fitted), {row.path for row in fitted.rows if row.what == RESIZED}
    tables = {"encoder/lower/layers/relative/embedding", "encoder/upper/layers/relative/embedding"}
    assert resized == (tables if positions == "relative" else {"image/positions"})
    assert not any(np.ma.is_masked(fitted.values[path]) for path in resized)
    assert NEW not in told.values()


def test_a_constant_table_stays_constant():
    """Resizing reads between the old values and never beyond them."""
    table = np.full((image_rows((3, 4)), 2), 0.3, np.float32)
    for grid in ((3, 7), (9, 4), (4, 4)):
        resized = resize_relative_table(table, (3, 4), grid)
        np.testing.assert_allclose(resized, np.full((image_rows(grid), 2), 0.3), atol=1e-6)


def test_a_symmetric_table_stays_symmetric():
    rng = np.random.default_rng(0)
    half = rng.standard_normal((7, 5, 2))
    table = np.concatenate([(half + half[::-1, ::-1]).reshape(35, 2), np.zeros((3, 2))])
    got = resize_relative_table(table, (4, 3), (6, 5))[:-3].reshape(11, 9, 2)
    np.testing.assert_allclose(got, got[::-1, ::-1], atol=1e-9)


def test_an_unchanged_grid_keeps_every_row():
    table = np.random.default_rng(0).standard_normal((table_rows((2, 2), 4), 3))
    kept = fit_relative_table(table, ((2, 2), 4), ((2, 2), 4))
    assert not np.ma.is_masked(kept)
    np.testing.assert_array_equal(kept, table)


def test_too_few_patches_cannot_be_resized():
    source = trained(vlmo(image_size=(6, 6)))
    with pytest.raises(UserError, match=r"2 x 2 patches are too few .* 3 x 3; take model.image_si"):
        begin(vlmo(), source)


def test_other_heads_make_another_model_of_positions():
    """Relative positions of other heads are newly made, not bent."""
    old, new = vlmo(), vlmo()
    new = replace(new, encoder=replace(new.encoder, heads=5))
    shapes = {path: x.shape for path, x in parameter_shapes(MODELS["vlmo"].module(new)).items()}
    assert what(fit(shapes, new, trained(old)))[RELATIVE] == NEW
