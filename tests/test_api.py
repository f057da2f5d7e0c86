"""vlx.load: pictures and texts of every kind in, alone or in batches."""

import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest
from data.pictures import encoded, picture
from PIL import Image

import vlx
from vlx.api import Model
from vlx.decode import DecodeOptions
from vlx.errors import UserError
from vlx.interop import native
from vlx.layers.pixels import normalise

from small_weights import plain_clip, pretrained

TEXTS = ["a red square", "two green squares", "a blue circle"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    native.save(folder / "model", pretrained(folder))
    native.save(folder / "clip", pretrained(folder, plain_clip()))
    return folder


@pytest.fixture(scope="module")
def model(folder) -> Model:
    return vlx.load(folder / "model")


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    return [picture(n, 8, 12) for n in range(5)]


def test_every_kind_of_picture_gives_the_same_vector(tmp_path, model, photos):
    photo = photos[0]
    Image.fromarray(photo).save(tmp_path / "photo.png")
    kinds = [
        photo,
        Image.fromarray(photo),
        tmp_path / "photo.png",
        str(tmp_path / "photo.png"),
        (tmp_path / "photo.png").read_bytes(),
    ]
    vectors = model.encode_image(kinds)
    assert vectors.shape == (5, 10)
    np.testing.assert_array_equal(vectors, np.repeat(vectors[:1], 5, axis=0))


def test_vectors_are_those_of_the_model(model, photos):
    p = model.pretrained
    image = normalise(np.stack(photos), "clip")
    want = p.model.apply({"params": p.tree}, image, method="encode_image")
    np.testing.assert_allclose(model.encode_image(photos), want, atol=1e-6)
    np.testing.assert_allclose(model.encode_image(np.stack(photos)), want, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(model.encode_text(TEXTS), axis=1), 1, atol=1e-5)


def test_batches_and_their_padding_change_nothing(model, photos):
    small = Model(model.pretrained, batch_size=2)
    np.testing.assert_allclose(small.encode_image(photos), model.encode_image(photos), atol=1e-6)
    np.testing.assert_allclose(
        model.encode_image(photos)[3], model.encode_image(photos[3]), atol=1e-6
    )


def test_what_goes_in_alone_comes_out_alone(model, photos):
    assert model.encode_image(photos[0]).shape == model.encode_text("a cat").shape == (10,)
    assert model.similarity(photos, TEXTS).shape == (5, 3)
    assert model.similarity(photos[0], TEXTS).shape == (3,)
    assert model.similarity(photos, "a cat").shape == (5,)
    assert isinstance(model.zero_shot(photos[0], TEXTS), dict)
    assert isinstance(model.caption(photos[0]), str)


def test_zero_shot_ranks_the_classes(model, photos):
    shares = model.zero_shot(photos, TEXTS, templates=("{}",))
    for row, cosines in zip(shares, model.similarity(photos, TEXTS), strict=True):
        assert list(row) == [TEXTS[n] for n in np.argsort(-cosines)]
        assert sum(row.values()) == pytest.approx(1)
        scale = np.exp(model.pretrained.params["logit_scale"])
        np.testing.assert_allclose(
            [row[text] for text in TEXTS], jax.nn.softmax(scale * cosines), atol=1e-5
        )


def test_captions_are_texts_and_each_has_its_picture(model, photos):
    texts = model.caption(photos, DecodeOptions(method="beam", beams=2))
    assert texts == [
        model.caption(photo, DecodeOptions(method="beam", beams=2)) for photo in photos
    ]
    assert model.caption(photos[0], prefix="a red").startswith("a red")


def test_another_type_of_activations_is_near(folder, model, photos):
    half = vlx.load(folder / "model", dtype="bfloat16")
    np.testing.assert_allclose(half.encode_image(photos), model.encode_image(photos), atol=0.1)


def test_presets_are_listed():
    assert {"coca/tiny", "clip/ViT-B-32"} <= set(vlx.list_models())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("nowhere.png", r"nowhere\.png cannot be read: No such file"),
        (np.zeros((3, 8, 12), np.uint8), r"must be uint8 \[height, width, 3\], not uint8 \[3, 8"),
        (np.zeros((8, 12, 3)), r"not float64 \[8, 12, 3\]; scale it to 0\.\.255"),
        (b"x", r"unreadable image \(1 bytes\)"),
        ([], "at least one picture or text"),
    ],
)
def test_wrong_pictures_are_named(model, wrong, message):
    with pytest.raises(UserError, match=message):
        model.encode_image(wrong)


def test_a_damaged_file_is_named(tmp_path, model):
    (tmp_path / "half.png").write_bytes(encoded(picture(1, 30, 30))[:200])
    with pytest.raises(UserError, match=r"half\.png: unreadable image"):
        model.encode_image(tmp_path / "half.png")


def test_a_model_without_decoder_cannot_write(folder, photos):
    with pytest.raises(UserError, match="Clip cannot write: it has no decoder"):
        vlx.load(folder / "clip").caption(photos[0][:, :8])


def test_a_model_without_vocabulary_says_so(model):
    silent = Model(replace(model.pretrained, tokenizer=None, vocabulary=()))
    with pytest.raises(UserError, match="came without a vocabulary"):
        silent.encode_text("a cat")


def test_importing_is_light():
    code = "import sys, vlx; assert 'jax' not in sys.modules; vlx.load"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = vlx.lod
