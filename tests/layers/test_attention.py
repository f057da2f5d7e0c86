"""attention: closed forms, what may not be seen, and the options of the layer around it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers.attention import READ, Attention, AttentionOptions, attention, unit

from small_models import parameters

KEYS = jax.random.split(jax.random.key(0), 8)
B, T, S, H, K = 2, 5, 7, 3, 11
QUERY = jax.random.normal(KEYS[0], (B, T, H, K))
KEY = jax.random.normal(KEYS[1], (B, S, H, K))
VALUE = jax.random.normal(KEYS[2], (B, S, H, K))
MASK = jax.random.bernoulli(KEYS[3], 0.6, (B, 1, T, S)).at[..., 0].set(True)
BIAS = jax.random.normal(KEYS[4], (1, H, T, S))

same = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)


def test_shares_of_two_keys():
    query, key = jnp.ones((1, 1, 1, 1)), jnp.log(jnp.array([1.0, 3.0])).reshape(1, 2, 1, 1)
    got = attention(query, key, jnp.array([0.0, 8.0]).reshape(1, 2, 1, 1))
    same(got, np.full((1, 1, 1, 1), 6.0))  # 1/4 of 0 and 3/4 of 8


def test_default_scale_is_the_root_of_the_head_size():
    same(attention(QUERY, KEY, VALUE), attention(QUERY, KEY, VALUE, scale=K**-0.5))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mask": MASK},
        {"bias": BIAS},
        {"scale": 0.3},
        {"mask": MASK, "bias": BIAS, "scale": 0.3},
        {"causal": True},
        {"causal": True, "mask": MASK[..., :T]},
    ],
    ids=lambda options: "+".join(options) or "plain",
)
def test_dropping_nothing_changes_nothing(options):
    key, value = (x[:, :T] if "causal" in options else x for x in (KEY, VALUE))
    want = attention(QUERY, key, value, **options)
    same(attention(QUERY, key, value, drop=lambda share: share, **options), want)


@pytest.mark.parametrize("drop", [None, lambda share: share], ids=["plain", "drop"])
class TestEitherWay:
    def test_hidden_keys_are_not_read(self, drop):
        want = attention(QUERY, KEY[:, :4], VALUE[:, :4], drop=drop)
        seen = jnp.broadcast_to(jnp.arange(S) < 4, (B, 1, T, S))
        same(attention(QUERY, KEY, VALUE, mask=seen, drop=drop), want)

    def test_causal_is_the_triangular_mask(self, drop):
        key, value = KEY[:, :T], VALUE[:, :T]
        seen = jnp.tril(jnp.ones((1, 1, T, T), bool))
        want = attention(QUERY, key, value, mask=seen, drop=drop)
        same(attention(QUERY, key, value, causal=True, drop=drop), want)

    def test_a_row_that_sees_nothing_is_the_mean_of_the_values(self, drop):
        mask = jnp.ones((B, 1, T, S), bool).at[:, :, 2].set(False)
        got = attention(QUERY, KEY, VALUE, mask=mask, drop=drop)
        same(got[:, 2], jnp.mean(VALUE, axis=1))


def test_dropped_shares_are_not_read():
    got = attention(QUERY, KEY, VALUE, drop=lambda share: share.at[..., 3:].set(0))
    share = jax.nn.softmax(jnp.einsum("BTHK,BSHK->BHTS", QUERY, KEY) * K**-0.5)
    same(got, jnp.einsum("BHTS,BSHK->BTHK", share[..., :3], VALUE[:, :3]))


def test_unit_has_length_one_and_keeps_zero():
    x = jnp.array([[3.0, 4.0], [0.0, 0.0], [1e-3, 0.0]])
    same(unit(x), [[0.6, 0.8], [0.0, 0.0], [1.0, 0.0]])


def test_gradient_of_unit_is_finite_at_zero_and_true_elsewhere():
    x, c = jnp.array([[0.0, 0.0], [3.0, 4.0]]), jnp.array([1.0, 2.0])
    gradient = jax.grad(lambda x: jnp.sum(unit(x) * c))(x)
    assert np.isfinite(gradient).all()
    same(gradient[1], [-0.064, 0.048])  # (c - u (u c)) / |x|, with u c = 2.2


def layer(x, options=AttentionOptions(), rngs=None, amend=lambda params: params, **more):
    module = Attention(22, 2, options, **more)
    params = parameters(module, x)
    return jax.jit(module.apply)({"params": amend(params)}, x, rngs=rngs)


X = jax.random.normal(KEYS[5], (2, 5, 7))


def test_cosine_attention_ignores_the_length_of_queries_and_keys():
    def longer(params):
        scaled = {n: jax.tree.map(lambda p: 5 * p, params[n]) for n in ("query", "key")}
        return params | scaled

    options = AttentionOptions(cosine=True)
    same(layer(X, options, amend=longer), layer(X, options))
    assert np.abs(layer(X, amend=longer) - layer(X)).max() > 1e-3


def test_cosine_temperature_stops_at_one_hundred():
    def at(value):
        return lambda params: params | {"logit_scale": jnp.full(2, jnp.log(value))}

    options = AttentionOptions(cosine=True)
    same(layer(X, options, amend=at(100.0)), layer(X, options, amend=at(500.0)))
    assert np.abs(layer(X, options, amend=at(50.0)) - layer(X, options, amend=at(100.0))).max() > 0


def test_normalised_queries_and_keys_ignore_their_length():
    def longer(params):
        return params | {n: jax.tree.map(lambda p: 50 * p, params[n]) for n in ("query", "key")}

    def long(params):
        return params | {n: jax.tree.map(lambda p: 500 * p, params[n]) for n in ("query", "key")}

    options = AttentionOptions(qk_norm=True)
    np.testing.assert_allclose(
        layer(X, options, amend=longer), layer(X, options, amend=long), atol=1e-4
    )


def test_a_head_of_scale_zero_is_silent():
    def silent(params):
        return params | {"head_scale": jnp.array([0.0, 1.0])}

    def cut(params):
        kernel = params["out"]["kernel"].at[0].set(0)
        return silent(params) | {
            "head_scale": jnp.ones(2),
            "out": params["out"] | {"kernel": kernel},
        }

    options = AttentionOptions(head_scale=True)
    same(layer(X, options, amend=silent), layer(X, options, amend=cut))


def test_inner_norm_ignores_the_length_of_the_values():
    def longer(params):
        return params | {"value": jax.tree.map(lambda p: 300 * p, params["value"])}

    def long(params):
        return params | {"value": jax.tree.map(lambda p: 30 * p, params["value"])}

    options = AttentionOptions(inner_norm=True)
    np.testing.assert_allclose(
        layer(X, options, amend=longer), layer(X, options, amend=long), atol=1e-2
    )
    assert np.abs(layer(X, amend=longer) - layer(X, amend=long)).max() > 1


def test_dropout_needs_its_rng():
    want = layer(X)
    same(layer(X, dropout=0.5), want)
    dropped = layer(X, dropout=0.5, rngs={"dropout": jax.random.key(2)})
    assert np.abs(dropped - want).max() > 1e-3


def test_two_normalisations_are_refused():
    with pytest.raises(ValueError, match="cosine attention has its own normalisation"):
        AttentionOptions(qk_norm=True, cosine=True)


@pytest.mark.parametrize("options", [{}, {"qk_norm": True}, {"cosine": True}])
def test_probabilities_in_the_open_are_those_of_the_output(options):
    x, context = QUERY.reshape(B, T, -1), KEY.reshape(B, S, -1)
    layer = Attention(H * K, H, AttentionOptions(**options))
    params = parameters(layer, x, context)
    run = jax.jit(lambda: layer.apply({"params": params}, x, context, mutable=[READ]))
    y, kept = run()
    share = kept[READ]["probabilities"][0]
    value = jnp.einsum("BSD,DHK->BSHK", context, params["value"]["kernel"])
    heads = jnp.einsum("BHTS,BSHK->BTHK", share, value + params["value"]["bias"])
    want = jnp.einsum("BTHK,HKD->BTD", heads, params["out"]["kernel"]) + params["out"]["bias"]
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-4)
    same(jnp.sum(share, axis=-1), np.ones((B, H, T)))
