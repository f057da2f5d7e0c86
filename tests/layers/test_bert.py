"""Bert: padding is not read, dropout only where an rng asks for it."""

import jax
import numpy as np
import pytest

from vlx.layers.bert import BertConfig, BertText, BertTextConfig
from vlx.layers.stack import Compute

from small_models import parameters, words

PAD = 1
ENCODER = BertConfig(
    vocabulary=29, width=10, layers=2, heads=2, hidden=7, positions=11, dropout=0.3
)
TEXT = np.where(words(3, 5) == PAD, 2, words(3, 5))
LONGER = np.pad(TEXT, ((0, 0), (0, 3)), constant_values=PAD)


def tower(**options):
    model = BertText(BertTextConfig(ENCODER, length=8, **options), 4, Compute())
    return model, {"params": parameters(model, TEXT)}


@pytest.mark.parametrize("pooling", ["mean", "max", "first"])
def test_padding_changes_nothing(pooling):
    model, params = tower(pooling=pooling)
    encode = jax.jit(model.apply)
    got, want = encode(params, LONGER), encode(params, TEXT)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got[1][:, :5], want[1], rtol=1e-5, atol=1e-5)


def test_dropout_needs_its_rng():
    model, params = tower()
    encode = jax.jit(lambda key: model.apply(params, TEXT, rngs={"dropout": key})[0])
    got, want = [encode(jax.random.key(k)) for k in (1, 1, 2)], model.apply(params, TEXT)[0]
    np.testing.assert_array_equal(got[0], got[1])
    assert min(np.abs(got[0] - want).max(), np.abs(got[0] - got[2]).max()) > 1e-2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BertConfig(width=10, heads=3), "width=10 does not divide into heads=3"),
        (lambda: BertTextConfig(pooling="last"), "pooling='last': choose mean, max or first"),
        (lambda: BertTextConfig(projection="none"), "projection='none': choose mlp or linear"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
