"""TextTransformer: what later words and padding may change."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers.stack import Compute
from vlx.layers.text import TextTransformer

from small_models import LENGTH, TEXT, parameters, words

E = 4
TEXTS = words(3)
PADDED = TEXTS * np.array([1, 1, 1, 0, 0], np.int32)


def tower(**changes):
    """A function of texts to (vector, tokens), the same parameters whatever the masks."""
    model = TextTransformer(replace(TEXT, **changes), E, Compute())
    params = parameters(model, TEXTS)
    return jax.jit(lambda text: model.apply({"params": params}, text))


@pytest.mark.parametrize("mask", ["correct", "legacy"])
def test_tokens_do_not_depend_on_later_words(mask):
    encode = tower(mask=mask)
    got, want = encode(TEXTS.copy()), encode(np.array([[*t[:3], 7, 11] for t in TEXTS]))
    np.testing.assert_allclose(got[1][:, :3], want[1][:, :3], rtol=1e-5, atol=1e-6)
    assert np.abs(got[1][:, 3:] - want[1][:, 3:]).max() > 1e-3
    assert np.abs(got[0] - want[0]).max() > 1e-3  # the class token sees them all


def test_a_bidirectional_tower_sees_later_words():
    encode = tower(causal=False, mask="none", pooling="first")
    got, want = encode(TEXTS), encode(np.array([[*t[:3], 7, 11] for t in TEXTS]))
    assert np.abs(got[1][:, :3] - want[1][:, :3]).max() > 1e-3


def move_by_padding(mask):
    """How far the class token's vector moves when padding's row of the table changes."""
    model = TextTransformer(replace(TEXT, mask=mask), E, Compute())
    params = parameters(model, TEXTS)
    table = params["tokens"]["embedding"]
    other = params | {"tokens": {"embedding": table.at[TEXT.pad].add(jnp.arange(10.0))}}
    vector = jax.jit(lambda params: model.apply({"params": params}, PADDED)[0])
    return np.abs(vector(params) - vector(other)).max()


def test_the_correct_mask_hides_padding_from_the_class_token():
    assert move_by_padding("correct") < 1e-6


def test_the_legacy_mask_shows_the_class_token_the_first_padding():
    assert move_by_padding("legacy") > 1e-3


def test_masks_of_texts_without_padding_agree_but_for_the_class_token():
    correct, legacy = tower(mask="correct")(TEXTS), tower(mask="legacy")(TEXTS)
    np.testing.assert_allclose(correct[0], legacy[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "place"), [("first", 0), ("last", 4), ("argmax", 2), ("eos", 3)]
)
def test_the_vector_stands_at_its_place(pooling, place):
    text = jnp.array([[3, 5, 28, 2, 2]])  # the largest id third, the end id 2 fourth
    config = {"mask": "none", "pooling": pooling, "projection": False, "norm_tokens": True}
    vector, tokens = tower(**config)(text)
    np.testing.assert_array_equal(vector, tokens[:, place])


def test_shorter_texts_are_taken_and_longer_refused():
    encode = tower(mask="none", pooling="last")
    assert encode(TEXTS[:, :3])[1].shape == (3, 3, 10)
    with pytest.raises(ValueError, match=f"text of 7 tokens, the model takes {LENGTH}"):
        encode(words(3, 7))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": "soft"}, "mask='soft': choose from none, pad, legacy, correct"),
        ({"pooling": "mean"}, "pooling='mean': choose from class, first, last, argmax, eos"),
        ({"pooling": "first"}, "mask='correct' does not fit pooling='first'"),
        ({"mask": "none"}, "mask='none' does not fit pooling='class'"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TEXT, **changes)
