"""The native folder: there and back, whole or not at all, and what is refused."""

import json

import numpy as np
import pytest
from small_stages import DVAE, beit, classes, trained, vlmo

from vlx.errors import UserError
from vlx.interop import native
from vlx.interop.files import read_tensors, write_tensors

from small_weights import open_clip_coca, plain_clip, pretrained


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("native")
    model = pretrained(folder)
    native.save(folder / "model", model)
    return folder / "model", model


@pytest.mark.parametrize(
    "config", [None, open_clip_coca(), plain_clip()], ids=["paper", "coca", "clip"]
)
def test_there_and_back_is_the_identity(tmp_path, config):
    model = pretrained(tmp_path, config)
    native.save(tmp_path / "model", model)
    back = native.load(tmp_path / "model")
    assert (back.model, back.pixels, back.tokenizer) == (model.model, model.pixels, model.tokenizer)
    assert back.params.keys() == model.params.keys()
    for path, x in model.params.items():
        np.testing.assert_array_equal(back.params[path], x)
    np.testing.assert_array_equal(
        back.words.encode("a red square", 9), model.words.encode("a red square", 9)
    )
    assert not list(tmp_path.glob(".*")), "a draft is left"


def test_tensors_have_vlx_paths_and_the_card_names_the_model(saved):
    folder, model = saved
    assert read_tensors(folder / "model.safetensors").keys() == model.params.keys()
    card = (folder / "README.md").read_text()
    assert "library_name: vlx" in card
    assert f"{sum(x.size for x in model.params.values()):,} parameters" in card


def test_answers_travel_with_the_model_that_gives_them(tmp_path):
    model = trained(vlmo(heads=("answers",)), answers=("red", "a few", "deux", "\u00e9t\u00e9"))
    native.save(tmp_path / "model", model)
    assert native.load(tmp_path / "model").answers == model.answers
    assert "model.answer(" in (tmp_path / "model" / "README.md").read_text()
    (tmp_path / "model" / "answers.txt").write_text("red\nblue\n")
    with pytest.raises(UserError, match=r"answers\.txt has 2 answers, the model 4; copy the whole"):
        native.load(tmp_path / "model")


@pytest.mark.parametrize("config", [classes(), beit(), DVAE, vlmo(heads=("words",))])
def test_models_without_vectors_or_texts_have_cards_too(tmp_path, config):
    model = trained(config)
    native.save(tmp_path / "model", model)
    back = native.load(tmp_path / "model")
    assert (back.model, back.tokenizer) == (model.model, model.tokenizer)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "| vectors |" not in card
    assert "zero_shot" not in card
    assert ("| texts | none |" in card) == (model.tokenizer is None)


def test_a_transpose_and_a_scalar_are_written_as_they_are(tmp_path):
    x = np.arange(6.0).reshape(2, 3).T
    write_tensors(tmp_path / "x.safetensors", {"x": x, "one": np.float32(1)}, {})
    back = read_tensors(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(back["x"], x)
    assert back["one"].shape == ()
    assert (tmp_path / "x.safetensors").stat().st_mode & 0o777 == 0o644  # others may read it


def test_nothing_is_overwritten(saved):
    folder, model = saved
    with pytest.raises(UserError, match="exists already; remove it, or give another --output"):
        native.save(folder, model)


def test_a_failure_leaves_nothing(tmp_path):
    def fill(draft):
        (draft / "half").write_text("")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="cannot be written: No space left"):
        native.write_folder(tmp_path / "model", fill)
    assert not list(tmp_path.iterdir())


def test_what_the_tensors_cannot_be_written_to_is_named(tmp_path):
    def fill(draft):
        write_tensors(draft / "nowhere" / "x.safetensors", {"x": np.ones(2)}, {})

    with pytest.raises(UserError, match=r"cannot be written: .*No such file .*another --output"):
        native.write_folder(tmp_path / "model", fill)


def damaged(tmp_path, saved, change) -> None:
    """A copy of the folder after a change, loaded."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in saved[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    change(folder)
    native.load(folder)


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])


def edit(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def other_model(folder):
    (folder / "model.safetensors").unlink()
    write_tensors(folder / "model.safetensors", {"image/norm/scale": np.ones(3)}, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut, "model.safetensors cannot be read: .* copy it again"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors: there is no such file"),
        (lambda f: (f / "config.json").unlink(), "holds no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read as JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "must hold settings by name"),
        (lambda f: (f / "config.json").write_text("{}"), "config.json lacks config, library"),
        (
            lambda f: (f / "sentencepiece.model").unlink(),
            "lacks its vocabulary sentencepiece",
        ),
        (other_model, "holds another model than its config says"),
        (edit(model="cocoa"), "no model is called 'cocoa'; did you mean 'coca'?"),
        (edit(pixels={"size": [8, 12], "statistics": "x"}), "choose from clip, imagenet"),
        (edit(tokenizer={"names": "x"}), "tokenizer.names is unknown; did you mean 'name'?"),
        (edit(tokenizer_files=["../words/sentencepiece.model"]), "only files of the folder itself"),
        (edit(tokenizer_files=["/etc/passwd"]), "only files of the folder itself"),
        (edit(tokenizer_files=[".."]), "only files of the folder itself"),
    ],
)
def test_what_is_damaged_is_named(tmp_path, saved, change, message):
    with pytest.raises(UserError, match=message):
        damaged(tmp_path, saved, change)
