"""A model's way through its stages by `init_from`: images, texts, pairs, answers, images again."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from data.pictures import picture
from flax.traverse_util import flatten_dict
from small_stages import trained

import vlx
from vlx import cli, weights
from vlx.config import build
from vlx.evaluate import build_evaluators
from vlx.initialise import initialiser
from vlx.interop import native, official
from vlx.interop.pretrained import Pixels, Pretrained
from vlx.layers.multiway import MultiwayConfig
from vlx.layers.relative import image_rows
from vlx.models.beit import BeitConfig
from vlx.subject import model_setup
from vlx.tasks.vlmo import FROZEN_BY_TEXTS
from vlx.train.config import RunConfig
from vlx.train.log import Logger
from vlx.train.loop import train
from vlx.train.setup import Setup, resolved

ENCODER = {"width": 12, "layers": 3, "heads": 2, "hidden": 20}
MODEL = {
    "preset": "tiny",
    "image_size": 36,
    "patch": 12,
    "vocabulary": 96,
    "text_length": 12,
    "longest": 14,
}
EXPERTS = "encoder/{}/layers/{}/mlp/up/kernel"
RELATIVE = "encoder/{}/layers/relative/embedding"


def setup_of(folder, task="vlmo", encoder=None, **changes) -> Setup:
    """A run of two steps on the built-in world; it is not started."""
    given = {
        "task": task,
        "steps": 2,
        "data": {"source": "shapes", "threads": 0},
        "tokenizer": {"vocab_size": 96, "length": 12, "captions": 64},
        "batch": {"size": 8},
        "evaluate": {"every": 0, "batch_size": 8, "examples": 16},
        "checkpoint": {"every": 2},
        "log": {"every": 1, "tensorboard": False},
    }
    for name, value in changes.items():
        given[name] = given.get(name, {}) | value if isinstance(value, dict) else value
    given["model"] = {**given["model"], "encoder": ENCODER | (encoder or {})}
    config = resolved(build(RunConfig, given))
    cli.prepare_folder(folder, config)
    return Setup(config, folder)


def begin(setup: Setup) -> tuple[dict, dict]:
    """Parameters before the first step, and those that a fresh model would have."""
    fresh = setup.new_state().params
    begun = initialiser(setup)(fresh)
    return tuple(flatten_dict(jax.device_get(x), sep="/") for x in (begun, fresh))


def keep(folder, setup: Setup, params: dict):
    """The model as a native folder, with the vocabulary of its run."""
    _ = setup.tokenizer
    words = tuple(sorted((setup.workdir / "tokenizer").iterdir()))
    pixels = Pixels(setup.image_size, "inception", "squash")
    native.save(folder, Pretrained(setup.task.model, params, pixels, setup.config.tokenizer, words))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="module")
def vision(place):
    """An official file of the first stage, without settings, as it is published."""
    encoder = MultiwayConfig(**ENCODER, experts=("image",), layer_scale=0.1)
    source = trained(BeitConfig(encoder, (36, 36), 12, positions=("relative",), codes=0, classes=7))
    official.write(place / "vision", source, "unilm_beit")
    (place / "vision" / "unilm_config.json").unlink()
    return source, place / "vision" / "model.safetensors"


@pytest.fixture(scope="module")
def texts(place, vision):
    """The second stage: its parameters, fresh ones, and its folder."""
    changes = {"loss": {"text_words": 1.0}, "freeze": FROZEN_BY_TEXTS, "init_from": str(vision[1])}
    setup = setup_of(place / "texts", encoder={"pair_layers": 0}, model=MODEL, **changes)
    params, fresh = begin(setup)
    return params, fresh, keep(place / "texts_model", setup, params)


@pytest.fixture(scope="module")
def pairs(place, texts):
    loss = {"contrastive": 1.0, "matching": 1.0, "words": 0.25}
    model = {**MODEL, "text_length": 9}
    given = {"model": model, "loss": loss, "tokenizer": {"length": 9}, "init_from": str(texts[2])}
    setup = setup_of(place / "pairs", **given)
    params, fresh = begin(setup)
    return params, fresh, keep(place / "pairs_model", setup, params)


def questions_setup(folder, source) -> Setup:
    model = {**MODEL, "text_length": 9, "image_size": 48, "answers": 32}
    given = {"model": model, "loss": {"answers": 1.0}, "data": {"about": "questions"}}
    return setup_of(folder, **given, tokenizer={"length": 9}, init_from=str(source))


@pytest.fixture(scope="module")
def questions(place, pairs):
    """A finished run of larger images."""
    setup = questions_setup(place / "questions", pairs[2])
    setup.check()
    initialise = initialiser(setup)
    logger = Logger(setup.workdir, setup.config.log, setup.config.steps)
    assert train(setup, {}, logger, initialise) == 0
    return setup


def test_texts_begin_with_the_image_expert_and_tables_for_images(vision, texts):
    old, (params, fresh, _) = vision[0].params, texts
    path = EXPERTS.format("lower", "image")
    np.testing.assert_array_equal(params[path], old[path])
    images, path = image_rows((3, 3)), RELATIVE.format("lower")
    np.testing.assert_array_equal(params[path][:, :images], old[path])
    np.testing.assert_array_equal(params[path][:, images:], fresh[path][:, images:])
    for path in (EXPERTS.format("lower", "text"), "norm/scale", "text/tokens/embedding"):
        np.testing.assert_array_equal(params[path], fresh[path])


def test_pairs_begin_with_texts_and_fresh_experts(texts, pairs):
    old, (params, fresh, _) = texts[0], pairs
    for expert in ("text", "image"):
        lower, upper = (params[EXPERTS.format(stack, expert)] for stack in ("lower", "upper"))
        whole = old[EXPERTS.format("lower", expert)]
        np.testing.assert_array_equal(np.concatenate([lower, upper]), whole)
    path = EXPERTS.format("upper", "pair")
    np.testing.assert_array_equal(params[path], fresh[path])
    for path in ("word_head/logits/kernel", "text/tokens/embedding", "pooler/kernel"):
        np.testing.assert_array_equal(params[path], old[path])
    np.testing.assert_array_equal(params["text/positions/embedding"].shape, (9, 12))


def test_a_run_gives_its_answers_to_its_folder_and_to_the_next_run(place, questions, capsys):
    model = weights.read(questions.workdir)
    assert model.answers == questions.answers.answers
    native.save(place / "questions_model", model)
    loaded = vlx.load(place / "questions_model")
    assert loaded.answer(picture(1, 40, 30), "what colour is it?") in model.answers
    capsys.readouterr()
    again = questions_setup(place / "again", place / "questions_model")
    params, _ = begin(again)
    np.testing.assert_array_equal(
        params["answer_head/logits/bias"], model.params["answer_head/logits/bias"]
    )
    assert again.answers.answers == model.answers
    assert "The answers are the trained model's." in capsys.readouterr().out


def test_a_folder_is_measured_like_the_run_that_it_is_of(place, questions):
    want = build_evaluators(questions, ("vqa",))["vqa"](questions_params(questions))
    native.save(place / "measured", weights.read(questions.workdir))
    setup = model_setup(questions.config, native.load(place / "measured"), place / "results")
    (place / "results").mkdir()
    evaluators = build_evaluators(replace(setup, config=without_names(setup.config)))
    assert list(evaluators) == ["vqa"]
    assert evaluators["vqa"](setup.params) == want


def questions_params(setup):
    return weights.read(setup.workdir).tree


def without_names(config):
    return replace(config, evaluate=replace(config.evaluate, names=()))


def test_classes_begin_with_the_image_expert_and_have_no_texts(place, questions, capsys):
    encoder = {"experts": ("image",), "layer_scale": 0.1}
    model = {"preset": "tiny", "image_size": 36, "patch": 12, "codes": 0, "classes": 5}
    model["positions"] = ("relative",)
    given = {"model": model, "loss": {"classes": 1.0}, "init_from": str(questions.workdir)}
    setup = setup_of(place / "classes", "beit", encoder, **given)
    params, fresh = begin(setup)
    old = weights.read(questions.workdir).params
    path = EXPERTS.format("lower", "image")
    whole = [old[EXPERTS.format(stack, "image")] for stack in ("lower", "upper")]
    np.testing.assert_array_equal(params[path], np.concatenate(whole))
    kinds = old["types/embedding"][1]
    np.testing.assert_array_equal(params["image/class_token"], old["image/class_token"] + kinds)
    np.testing.assert_array_equal(params["class_head/kernel"], fresh["class_head/kernel"])
    assert "vocabulary" not in capsys.readouterr().out
    assert not (setup.workdir / "tokenizer").exists()


def test_other_statistics_of_pixels_are_told(place, vision, capsys):
    model = {
        "preset": "tiny",
        "image_size": 36,
        "patch": 12,
        "positions": ("relative",),
        "pixels": "imagenet",
    }
    native.save(place / "plain", vision[0])
    given = {"model": {**model, "codes": 0, "classes": 7}, "loss": {"classes": 1.0}}
    setup = setup_of(place / "other", "beit", **given, init_from=str(place / "plain"))
    begin(setup)
    assert "by the statistics 'inception', this run's by 'imagenet'" in capsys.readouterr().out
