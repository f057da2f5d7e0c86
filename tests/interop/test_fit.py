"""What a model takes of a trained one: by path, position tables resized, the rest told."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from rich.console import Console

from vlx.errors import UserError
from vlx.interop.fit import LEFT, NEW, RESIZED, TAKEN, fit
from vlx.interop.positions import resize_grid, resize_length
from vlx.models import parameter_shapes
from vlx.models.coca import Coca

from small_weights import paper_coca, plain_clip, pretrained


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return pretrained(tmp_path_factory.mktemp("source"))


def shapes_of(config):
    return {path: x.shape for path, x in parameter_shapes(Coca(config)).items()}


def account(fitted) -> dict[str, set[str]]:
    return {
        what: {row.path for row in fitted.rows if row.what == what}
        for what in (TAKEN, RESIZED, NEW, LEFT)
    }


def test_an_equal_model_takes_everything(source):
    fitted = fit(shapes_of(paper_coca()), paper_coca(), source)
    assert account(fitted)[TAKEN] == source.params.keys() == fitted.values.keys()


def test_positions_of_other_sizes_are_resized(source):
    config = paper_coca()
    config = replace(
        config,
        vision=replace(config.vision, image_size=(12, 20)),
        text=replace(config.text, length=14),
    )
    fitted = fit(shapes_of(config), config, source)
    assert account(fitted)[RESIZED] == {"image/positions", "text/positions"}
    old = source.params["image/positions"]
    want = jax.image.resize(old.reshape(2, 3, -1), (3, 5, 64), "bicubic").reshape(15, 64)
    np.testing.assert_allclose(fitted.values["image/positions"], want, atol=1e-6)
    np.testing.assert_allclose(
        fitted.values["text/positions"], resize_length(source.params["text/positions"], 15)
    )


def test_equally_many_patches_in_another_grid_are_resized_too(source):
    config = paper_coca()
    config = replace(config, vision=replace(config.vision, image_size=(12, 8)))
    fitted = fit(shapes_of(config), config, source)
    assert account(fitted)[RESIZED] == {"image/positions"}


def test_what_has_another_shape_is_newly_made_and_told_with_both(source):
    config = paper_coca()
    config = replace(
        config,
        text=replace(config.text, vocabulary=71),
        decoder=replace(config.decoder, vocabulary=71),
    )
    fitted = fit(shapes_of(config), config, source)
    assert account(fitted)[NEW] == {"text/tokens/embedding", "head/kernel"}
    console = Console(record=True, width=120)
    fitted.show("from there", console)
    text = console.export_text()
    assert "(67, 64) -> (71, 64)" in text
    assert "image/encoder" in text


def test_a_model_without_decoder_leaves_it(tmp_path, source):
    clip = pretrained(tmp_path, plain_clip())
    shapes = {path: x.shape for path, x in clip.params.items()}
    told = account(fit(shapes, clip.model.config, source))
    assert "decoder/norm/scale" in told[LEFT]
    assert told[NEW] >= {"image/class_token"}
    assert "text/encoder/layers/mlp/up/kernel" in told[TAKEN]


def test_nothing_in_common_is_an_error(source):
    with pytest.raises(UserError, match="init_from: no array has the path and shape"):
        fit({"x": (2,)}, paper_coca(), source)


def test_positions_whose_order_is_unknown_are_refused():
    with pytest.raises(UserError, match="6 image positions make no square"):
        resize_grid(np.zeros((7, 3)), (2, 2), extra=1)
