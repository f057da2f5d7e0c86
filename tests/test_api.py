"""vlx.load: pictures and texts of every kind in, alone or in batches."""

import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest
import small_segmenter
from data.pictures import encoded, picture
from PIL import Image
from small_stages import DVAE, classes, trained, vlmo

import vlx
from vlx.api import Model
from vlx.decode import DecodeOptions
from vlx.errors import UserError
from vlx.interop import native
from vlx.interop.pretrained import Pixels, Pretrained
from vlx.layers.pixels import normalise
from vlx.layers.resample import bilinear
from vlx.models.segmenter import Segmenter
from vlx.models.vlmo_config import HEADS
from vlx.train.partition import flatten

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
    known = {"coca/tiny", "clip/ViT-B-32", "vlmo/base_plus", "beit/large_22k", "dvae/dall_e"}
    assert known <= set(vlx.list_models())


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


ANSWERS = ("red", "blue", "two", "yes")


@pytest.fixture(scope="module")
def fused(tmp_path_factory) -> Model:
    """A model that sees pictures and texts at once, with every head."""
    folder = tmp_path_factory.mktemp("fused")
    words = pretrained(folder).vocabulary[0]
    config = vlmo(heads=HEADS, vocabulary=67, text_length=9, longest=9)
    native.save(folder / "model", trained(config, words, answers=ANSWERS))
    return vlx.load(folder / "model")


@pytest.fixture(scope="module")
def square() -> list[np.ndarray]:
    return [picture(n, 9, 9) for n in range(3)]


def test_matches_are_those_of_the_model_for_every_pair(fused, square):
    p = fused.pretrained
    got = fused.match(square, TEXTS[:2])
    assert got.shape == (3, 2)
    image = normalise(np.repeat(np.stack(square), 2, axis=0), "inception")
    text = np.stack([p.words.encode(x, 9) for x in TEXTS[:2]] * 3)
    want = p.model.apply({"params": p.tree}, image, text, method="match")
    np.testing.assert_allclose(got.ravel(), want, atol=1e-5)
    assert fused.match(square[0], TEXTS).shape == fused.match(square, TEXTS[0]).shape == (3,)
    np.testing.assert_allclose(fused.match(square[1], TEXTS[0]), got[1, 0], atol=1e-5)
    small = Model(p, batch_size=2)
    np.testing.assert_allclose(small.match(square, TEXTS[:2]), got, atol=1e-5)


def test_answers_have_names_and_go_with_their_questions(fused, square):
    p = fused.pretrained
    image = normalise(np.stack(square), "inception")
    text = np.stack([p.words.encode(x, 9) for x in TEXTS])
    logits = p.model.apply({"params": p.tree}, image, text, method="answer")
    want = [ANSWERS[n] for n in np.argmax(logits, axis=1)]
    assert fused.answer(square, TEXTS) == want
    assert fused.answer(square[0], TEXTS[0]) == want[0]
    assert fused.answer(square[0], TEXTS)[0] == want[0]
    assert fused.answer(square, TEXTS[0])[0] == want[0]


def test_statements_about_two_pictures_have_shares(fused, square):
    both = fused.answer(square, TEXTS, square[::-1])
    for shares in both:
        assert sum(shares.values()) == pytest.approx(1)
        assert list(shares) == sorted(shares, key=shares.get, reverse=True)
        assert set(shares) == {"true", "false"}
    assert fused.answer(square[0], TEXTS[0], square[2]) == pytest.approx(both[0])


def test_a_fused_model_ranks_classes_too(fused, square):
    shares = fused.zero_shot(square[0], TEXTS)
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m, x: m.answer(x[:2], TEXTS), "as many questions as pictures, or .* lists of 2, 3"),
        (lambda m, x: m.answer([], "why?"), "at least one picture or text|lists of 0, 1"),
        (lambda m, x: m.match(x, []), "at least one picture or text"),
    ],
)
def test_questions_that_fit_no_pictures_are_told(fused, square, ask, message):
    with pytest.raises(UserError, match=message):
        ask(fused, square)


@pytest.mark.parametrize(
    ("heads", "ask", "message"),
    [
        (
            ("words",),
            lambda m, x: m.encode_text("a cat"),
            "without the part 'contrastive', which e",
        ),
        (("words",), lambda m, x: m.match(x, "a cat"), "without the part 'matching', which match"),
        (("truth",), lambda m, x: m.answer(x, "why?"), "without the part 'answers', which answer"),
        (("answers",), lambda m, x: m.answer(x, "why?", x), "without the part 'truth', which ans"),
        (("answers",), lambda m, x: m.answer(x, "why?"), r"names of its answers; .*answers\.txt"),
    ],
)
def test_what_a_model_was_not_trained_for_is_told(square, heads, ask, message):
    with pytest.raises(UserError, match=message):
        ask(Model(trained(vlmo(heads=heads))), square[0])


def test_tokens_are_those_of_the_middle_of_a_picture(photos):
    """As much of the shorter side as the model was trained to see."""
    tokenizer = trained(DVAE)
    tokenizer = replace(
        tokenizer, pixels=replace(tokenizer.pixels, resize_mode="shortest", part=0.5)
    )
    large = np.pad(photos[0], ((4, 4), (6, 6), (0, 0)))  # twice as large, and black around
    got = Model(tokenizer).tokens([large, photos[0]])
    middle = replace(tokenizer, pixels=replace(tokenizer.pixels, part=1.0))
    want = Model(middle).tokens(np.asarray([tokenizer.pixels.resize(large)]))
    assert got.dtype == np.int32
    assert got.shape == (2, DVAE.grid[0] * DVAE.grid[1])
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(Model(tokenizer).tokens(large), got[0])
    shown = tokenizer.pixels.resize(large)
    assert np.mean(shown == 0) < 0.3 < np.mean(middle.pixels.resize(large) == 0)


def test_classes_of_pixels_have_the_sizes_of_their_pictures():
    c = small_segmenter.config()
    whole = Pixels(c.image_size, c.pixels, "squash", "bilinear")
    source = Pretrained(Segmenter(c), flatten(small_segmenter.parameters(c)), whole)
    pictures = [picture(0, 40, 90), picture(1, *c.image_size)]
    windows = Model(replace(source, pixels=replace(whole, resize_mode="shortest")), batch_size=2)
    maps = windows.segment(pictures)
    assert [x.shape for x in maps] == [(40, 90), c.image_size]
    np.testing.assert_array_equal(windows.segment(pictures[1]), maps[1])
    at_once = Model(source).segment(pictures)
    np.testing.assert_array_equal(at_once[1], maps[1])
    logits = small_segmenter.logits(c, source.tree, normalise(pictures[1][None], c.pixels))
    want = np.argmax(bilinear(logits, c.image_size)[0], axis=-1)
    assert np.mean(maps[1] == want) > 0.999
    with pytest.raises(UserError, match="Segmenter has no features"):
        windows.features(pictures)


def test_models_without_texts_give_features(tmp_path, square):
    native.save(tmp_path / "model", trained(classes()))
    model = vlx.load(tmp_path / "model")
    assert model.features(square).shape == (3, 10)
    assert model.features(square[0]).shape == (10,)
    with pytest.raises(UserError, match="Beit has no encode_text"):
        model.encode_text("a cat")
    with pytest.raises(UserError, match="Beit reads and writes no texts"):
        _ = model.pretrained.words
    with pytest.raises(UserError, match="Dvae has no features"):
        Model(trained(DVAE)).features(square)


def test_a_model_of_one_type_says_so(tmp_path):
    native.save(tmp_path / "model", trained(DVAE))
    assert not hasattr(vlx.load(tmp_path / "model").pretrained.model.config, "compute")
    with pytest.raises(UserError, match="Dvae computes in float32 alone"):
        vlx.load(tmp_path / "model", dtype="bfloat16")
