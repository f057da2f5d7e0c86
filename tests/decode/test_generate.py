"""Writing texts: with and without a cache alike, and by the rules that the options name."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.decode import DecodeOptions, Ids, generate
from vlx.errors import UserError
from vlx.layers.stack import Compute
from vlx.models.beit3 import Beit3
from vlx.models.coca import Coca, DecoderConfig

import small_models as small

IDS, LENGTH, IMAGES = Ids(start=1, end=2), 11, 3
TEXT = replace(small.TEXT, length=LENGTH)
SEPARATE = DecoderConfig(small.TOWER, small.VOCABULARY, "separate_mlp")
MODELS = {
    "paper": Coca(small.coca(text=TEXT)),
    "open_clip": Coca(small.coca(text=replace(TEXT, mask="legacy"), decoder=SEPARATE)),
    "no class token": Coca(
        small.coca(text=replace(TEXT, mask="pad", pooling="last", norm_tokens=True))
    ),
    "unrolled": Coca(small.coca(text=TEXT, compute=Compute(scan=False))),
    "masks": Beit3(small.beit3(text_length=LENGTH)),
    "masks, experts for pairs": Beit3(small.beit3(apart=False, text_length=LENGTH)),
}


@pytest.fixture(scope="module")
def writers():
    """Models with random parameters, each made once."""
    made = {}

    def get(name):
        if name not in made:
            model = MODELS[name]
            made[name] = model, small.parameters(model, small.pixels(1), small.words(1))
        return made[name]

    return get


def write(writer, *, rng=0, prompt=None, images=IMAGES, **options):
    model, params = writer
    options = DecodeOptions(**{"max_length": LENGTH} | options)
    draws = jax.random.uniform(jax.random.key(rng), (LENGTH, images))
    text, score = generate(model, params, small.pixels(images), options, IDS, prompt, draws)
    return np.asarray(text), np.asarray(score)


@partial(jax.jit, static_argnums=0)
def ranked(model, params, image, text):
    return model.apply({"params": params}, image, text, method="rank")


WAYS = [
    {},
    {"min_length": 6, "repetition_penalty": 1.7},
    {"method": "sample", "top_k": 9, "temperature": 1.5},
    {"method": "beam", "beams": 3, "no_repeat_ngram": 2},
    {"method": "beam", "beams": 4, "groups": 2, "score": "raw_logits"},
    {"method": "beam", "beams": 3, "score": "one_finished", "length_penalty": 0.6},
]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(("paper", way) for way in WAYS),
        *((name, WAYS[0]) for name in list(MODELS)[1:]),
        ("masks", WAYS[-1]),
    ],
)
def test_a_cache_changes_no_token_and_no_score(writers, name, options):
    prompt = jnp.asarray([[1, 7, 5], [1, 9, 4], [1, 3, 3]])
    text, score = write(writers(name), prompt=prompt, **options)
    again, fresh = write(writers(name), prompt=prompt, cache=False, **options)
    np.testing.assert_array_equal(text, again)
    np.testing.assert_allclose(score, fresh, rtol=1e-4)
    np.testing.assert_array_equal(text[:, :3], prompt)


@pytest.mark.parametrize("name", ["paper", "masks"])
def test_the_score_is_the_likelihood_that_the_model_ranks_by(writers, name):
    model, params = writers(name)
    text, score = write((model, params))
    ended = np.any(text[:, 1:] == IDS.end, axis=1)
    assert ended.all()
    rank = ranked(model, params, small.pixels(IMAGES), text)
    np.testing.assert_allclose(score, rank, rtol=1e-4)


def test_texts_end_by_themselves_and_stay_ended(writers):
    text, _ = write(writers("paper"), method="sample", images=16)
    lengths = np.argmax((text == IDS.end) | (text == IDS.pad), axis=1)
    assert len(set(lengths)) > 2
    for row, length in zip(text, lengths, strict=True):
        assert row[0] == IDS.start
        assert (row[length + 1 :] == IDS.pad).all()


def test_no_end_before_the_least_length_and_always_one_at_the_last_slot(writers):
    text, _ = write(writers("paper"), method="sample", min_length=LENGTH - 1, images=16)
    assert (text[:, : LENGTH - 1] != IDS.end).all()
    finished = (text[:, -1] == IDS.end) | np.any(text == IDS.pad, axis=1)
    assert finished.all()


def test_ngrams_are_not_repeated(writers):
    options = {"min_length": LENGTH - 1, "temperature": 0.3, "method": "sample", "images": 16}

    def repeats(text):
        pairs = [list(pairwise(row)) for row in text]
        return sum(len(row) - len(set(row)) for row in pairs if IDS.pad not in np.ravel(row))

    assert repeats(write(writers("paper"), **options)[0]) > 0
    assert repeats(write(writers("paper"), no_repeat_ngram=2, **options)[0]) == 0


def test_more_beams_find_likelier_texts(writers):
    model, params = writers("paper")

    def likelihood(**options):
        text, _ = write((model, params), min_length=LENGTH - 1, **options)
        return ranked(model, params, small.pixels(IMAGES), text).sum()

    assert likelihood(method="beam", beams=6) > likelihood()


def test_one_beam_is_greedy(writers):
    greedy, _ = write(writers("paper"))
    one, _ = write(writers("paper"), method="beam", beams=1)
    np.testing.assert_array_equal(one[:, :-1], greedy[:, :-1])  # at the last slot greedy ends


def test_where_one_text_is_kept_its_score_counts_its_start_and_its_end(writers):
    model, params = writers("masks")
    options = {"beams": 3, "score": "one_finished", "length_penalty": 0.7}
    text, score = write((model, params), method="beam", images=16, **options)
    likelihood = ranked(model, params, small.pixels(16), text)
    end = np.argmax(text == IDS.end, axis=1)
    by_itself = end < LENGTH - 2  # others lose the word that their score still counts
    assert by_itself.any()
    want = (likelihood / (end + 1.0) ** 0.7)[by_itself]
    np.testing.assert_allclose(score[by_itself], want, rtol=1e-4)
    assert (text[~by_itself, LENGTH - 2] == IDS.end).all()
    assert (text[:, LENGTH - 1] == IDS.pad).all()


@pytest.mark.parametrize("options", [WAYS[2], WAYS[-1]])
def test_equal_images_get_equal_texts(writers, options):
    model, params = writers("masks")
    options = DecodeOptions(**{"max_length": LENGTH} | options)
    image = jnp.repeat(small.pixels(2), 2, axis=0)
    draws = jnp.repeat(jax.random.uniform(jax.random.key(0), (LENGTH, 2)), 2, axis=1)
    text, score = generate(model, params, image, options, IDS, None, draws)
    np.testing.assert_array_equal(text[::2], text[1::2])
    np.testing.assert_allclose(score[::2], score[1::2], rtol=1e-5)
    assert (text[0] != text[2]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "beams"}, "choose from greedy, sample, beam"),
        ({"max_length": 5, "min_length": 5}, "max_length=5 must exceed min_length=5"),
        ({"top_p": 0.0}, r"top_p lies in \(0, 1\]"),
        ({"beams": 4, "groups": 3, "score": "raw_logits"}, "multiple of groups=3"),
        ({"groups": 2}, "groups are for score='raw_logits'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DecodeOptions(**options)


def test_a_model_that_reads_both_ways_cannot_write():
    model = Coca(small.coca(text=replace(TEXT, causal=False)))
    params = small.parameters(model, small.pixels(1), small.words(1))
    with pytest.raises(UserError, match="reads both ways, so it cannot write"):
        write((model, params))


def test_texts_longer_than_the_model_reads_are_refused(writers):
    for name in ("paper", "masks"):
        with pytest.raises(
            UserError, match=r"Texts of 12 tokens .* the model takes 11; set max_length=11"
        ):
            write(writers(name), max_length=12)
    prompt = jnp.ones((IMAGES, LENGTH), jnp.int32)
    with pytest.raises(ValueError, match="leaves no room"):
        write(writers("paper"), prompt=prompt)
    with pytest.raises(UserError, match=r"at most 11 tokens .* begins with 10 has no room"):
        write(writers("masks"), prompt=prompt[:, :-1], **WAYS[-1])
