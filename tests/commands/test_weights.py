"""import, export, verify and formats from outside."""

from dataclasses import replace

import numpy as np
import pytest
from commands.call import vlx
from small_stages import DVAE, beit, beit3, trained, vlmo

from vlx.interop import native, official
from vlx.interop.files import read_tensors, write_tensors
from vlx.interop.native import load

from clip_vocabulary import clip_tokenizer
from small_weights import open_clip_coca, plain_clip, pretrained


@pytest.fixture(scope="module")
def coca(tmp_path_factory):
    """A model that open_clip can express, in both forms."""
    folder = tmp_path_factory.mktemp("coca")
    model = pretrained(folder, open_clip_coca())
    native.save(folder / "native", model)
    official.write(folder / "official", model, "open_clip_coca")
    return folder


def told(done, code: int = 2) -> str:
    """The one line of a mistake."""
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def test_export_import_and_verify(tmp_path, coca):
    done = vlx("export", coca / "native", "--format=open_clip_coca", f"--output={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert "open_clip_config.json, open_clip_model.safetensors" in done.stdout
    assert "own vocabulary (sentencepiece)" in done.stdout
    back = tmp_path / "back"
    done = vlx("import", tmp_path / "out", f"--output={back}", "--tokenizer=none")
    assert done.returncode == 0, done.stderr
    assert "Coca of" in done.stdout
    assert load(back).tokenizer is None
    done = vlx("verify", coca / "native", back)
    assert done.returncode == 0, done.stderr
    assert "The same numbers in" in done.stdout


def test_a_bare_file_is_verified_by_the_config_of_the_other(tmp_path, coca):
    tensors = read_tensors(coca / "official" / "open_clip_model.safetensors")
    tensors["logit_scale"] = tensors["logit_scale"] + np.float32(0.5)
    write_tensors(tmp_path / "model.safetensors", tensors, {})
    message = told(vlx("verify", tmp_path / "model.safetensors", coca / "native"))
    assert "differ in 1 of" in message
    assert "most in logit_scale by 0.5" in message
    done = vlx("verify", coca / "native", tmp_path / "model.safetensors", "--tolerance=0.6")
    assert done.returncode == 0, done.stderr


def test_different_models_are_told_apart(tmp_path, coca):
    native.save(tmp_path / "clip", pretrained(tmp_path, plain_clip()))
    assert "two different models" in told(vlx("verify", coca / "native", tmp_path / "clip"))


def test_formats_are_listed():
    done = vlx("formats")
    assert done.returncode == 0
    for name in ("vlx", "open_clip_coca", "clip", "unilm_vlmo", "unilm_beit", "dall_e"):
        assert f"\n {name} " in f"\n{done.stdout}"


@pytest.mark.parametrize(
    ("chosen", "config"),
    [
        ("unilm_vlmo", vlmo()),
        ("unilm_beit", beit()),
        ("unilm_beit3", beit3()),
        ("dall_e", DVAE),
    ],
)
def test_models_of_other_formats_go_there_and_back(tmp_path, chosen, config):
    native.save(tmp_path / "native", trained(config))
    out, back = tmp_path / "out", tmp_path / "back"
    done = vlx("export", tmp_path / "native", f"--format={chosen}", f"--output={out}")
    assert done.returncode == 0, done.stderr
    flags = "--tokenizer=none", "--statistics=imagenet"
    done = vlx("import", out, f"--output={back}", *flags)
    assert done.returncode == 0, done.stderr
    assert load(back).pixels.statistics == "imagenet"
    (out / "unilm_config.json").unlink(missing_ok=True)
    done = vlx("verify", tmp_path / "native", out)
    assert done.returncode == 0, done.stderr
    assert "The same numbers in" in done.stdout


def test_unknown_statistics_are_named(tmp_path):
    official.write(tmp_path / "out", trained(beit()), "unilm_beit")
    flags = f"--output={tmp_path / 'back'}", "--statistics=imagnet"
    message = told(vlx("import", tmp_path / "out", *flags))
    assert "--statistics='imagnet': choose from clip, imagenet" in message


def test_what_open_clip_lacks_is_named(tmp_path):
    native.save(tmp_path / "model", pretrained(tmp_path))
    out = f"--output={tmp_path / 'out'}"
    message = told(vlx("export", tmp_path / "model", "--format=open_clip_coca", out))
    assert "open_clip has no counterpart of this model" in message
    assert "decoder.block='single_mlp'" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("import",), "python -m vlx import FILE --output=FOLDER"),
        (("export", "x"), "python -m vlx export runs/a --output=FOLDER"),
        (("verify", "x"), "python -m vlx verify A B"),
        (("import", "nowhere", "--output=x"), "nowhere: there is no such file or folder"),
        (("export", "nowhere", "--output=x", "--format=clipp"), "did you mean 'clip'?"),
        (("export", "docs", "--output=x", "--step=3"), "--step=3 is for runs, and docs is none"),
    ],
)
def test_mistakes_end_with_one_message(words, message):
    assert message in told(vlx(*words))


def test_a_missing_vocabulary_may_be_left_out(tmp_path, coca):
    words = tmp_path / "words"
    words.mkdir()
    done = vlx("import", coca / "official", f"--tokenizer={words}", f"--output={tmp_path / 'out'}")
    assert "--tokenizer=none" in told(done)
    assert not (tmp_path / "out").exists()


def test_an_imported_model_keeps_its_vocabulary(tmp_path):
    clip_tokenizer(tmp_path / "words")  # skips where there is none
    config = plain_clip()
    config = replace(config, text=replace(config.text, vocabulary=49408))
    official.write(tmp_path / "official", pretrained(tmp_path, config), "clip")
    done = vlx("import", tmp_path / "official", f"--output={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "out").words.encode("a cat", 4).tolist() == [49406, 320, 2368, 49407]
