"""Bert: padding is not read, dropout only where an rng asks for it."""

import jax
import numpy as np
import pytest

from small_models import words
from vlx.layers.bert import BertConfig, BertText, BertTextConfig
from vlx.layers.stack import Compute

PAD = 1
ENCODER = BertConfig(
    vocabulary=29, width=10, layers=2, heads=2, hidden=7, positions=11, dropout=0.3
)
TEXT = np.where(words(3, 5) == PAD, 2, words(3, 5))
LONGER = np.pad(TEXT, ((0, 0), (0, 3)), constant_values=PAD)


def encode(text, remat="none", rngs=None, **options):
    model = BertText(BertTextConfig(ENCODER, length=8, **options), 4, Compute(remat=remat))
    params = jax.jit(model.init)(jax.random.key(0), TEXT)

    def loss(params):
        out = model.apply(params, text, rngs=rngs)
        return sum(x.sum() for x in out), out

    return jax.jit(jax.value_and_grad(loss, has_aux=True))(params)


@pytest.mark.parametrize("pooling", ["mean", "max", "first"])
def test_padding_changes_nothing(pooling):
    (_, want), _ = encode(TEXT, pooling=pooling)
    (_, got), _ = encode(LONGER, pooling=pooling)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got[1][:, :5], want[1], rtol=1e-5, atol=1e-6)


def test_mean_pooling_is_the_mean_of_words():
    vectors = [encode(TEXT, projection=p)[0][1][0].shape for p in ("mlp", "linear")]
    assert vectors == [(3, 4), (3, 4)]


def test_recomputed_layers_drop_the_same_units():
    rngs = {"dropout": jax.random.key(1)}
    (want, _), want_gradient = encode(TEXT, rngs=rngs)
    (got, _), gradient = encode(TEXT, remat="nothing", rngs=rngs)
    (without, _), _ = encode(TEXT)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert abs(want - without) > 1e-2
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        gradient,
        want_gradient,
    )


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
