"""VisionTransformer: what every pooling returns, and when patches are dropped."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers.stack import Compute
from vlx.layers.vision import PoolerConfig, VisionConfig, VisionTransformer

from small_models import VISION, parameters, pixels

B, P, D, E, Q = 2, 6, 10, 4, 5
POOLER = PoolerConfig(queries=Q, heads=2)
SHAPES = {  # pooling -> vector, tokens
    "tok": ((B, E), (B, P, D)),
    "avg": ((B, E), (B, P, D)),
    "none": ((B, P + 1, E), (B, P + 1, D)),
    "shared_queries": ((B, E), (B, Q - 1, E)),
    "parallel": ((B, E), (B, Q, E)),
    "cascade": ((B, E), (B, Q, E)),
}


def shapes(config):
    model = VisionTransformer(config, E, Compute())
    image = pixels(B)
    return jax.tree.map(
        lambda x: x.shape,
        jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), image))[0],
    )


@pytest.mark.parametrize("pooling", SHAPES)
def test_shapes_of_a_pooling(pooling):
    assert shapes(replace(VISION, pooling=pooling, pooler=POOLER)) == SHAPES[pooling]


@pytest.mark.parametrize(("query_pooling", "tokens"), [("tok", Q - 1), ("avg", Q - 1), ("none", Q)])
def test_shared_queries_give_away_the_first(query_pooling, tokens):
    config = replace(VISION, pooling="shared_queries", pooler=POOLER, query_pooling=query_pooling)
    assert shapes(config)[1] == (B, tokens, E)


def test_without_class_token_every_token_is_a_patch():
    assert shapes(replace(VISION, pooling="avg", class_token=False)) == SHAPES["avg"]


@pytest.mark.parametrize("norm_after", [True, False])
def test_poolers_norm_what_they_read_or_what_they_return(norm_after):
    """The mean square of a normalised token is 1."""
    config = replace(
        VISION,
        pooling="cascade",
        pooler=replace(POOLER, norm_after=norm_after),
        class_token=False,
    )
    model = VisionTransformer(config, E, Compute())
    params = parameters(model, pixels(B))
    width = E if norm_after else D
    params["norm"] = {"scale": jnp.ones(width), "bias": jnp.zeros(width)}
    _, tokens = jax.jit(model.apply)({"params": params}, pixels(B))
    is_one = np.allclose(np.mean(np.square(tokens), axis=-1), 1, atol=1e-2)
    assert is_one == norm_after


class TestPatchDropout:
    """Half of the six patches go, the class token stays."""

    model = VisionTransformer(replace(VISION, patch_dropout=0.5), E, Compute())
    image = pixels(B)
    params = parameters(model, image)

    def embed(self, *args, **kwargs):
        return self.model.apply(
            {"params": self.params}, self.image, *args, method="embed", **kwargs
        )

    def test_nothing_is_dropped_without_noise(self):
        whole = VisionTransformer(VISION, E, Compute())
        want = whole.apply({"params": self.params}, self.image, method="embed")
        np.testing.assert_array_equal(self.embed(), want)

    def test_noise_chooses_the_patches(self):
        noise = np.array([[0, 9, 8, 1, 2, 7], [5, 0, 0, 6, 0, 4]], np.float32)
        got, want = self.embed(noise), self.embed()
        kept = np.array([[0, 2, 3, 6], [0, 4, 1, 6]])  # class token first, by falling noise
        np.testing.assert_array_equal(got, np.take_along_axis(want, kept[..., None], axis=1))

    def test_an_rng_draws_the_noise(self):
        got = self.embed(rngs={"patches": jax.random.key(1)})
        again = self.embed(rngs={"patches": jax.random.key(1)})
        other = self.embed(rngs={"patches": jax.random.key(2)})
        assert got.shape == (B, 4, D)
        np.testing.assert_array_equal(got, again)
        assert np.abs(got - other).max() > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pooling": "mean"}, "pooling='mean': choose from tok, avg, none, shared_queries"),
        ({"class_token": False}, "pooling='tok' needs class_token=True"),
        ({"positions": "rotary"}, "positions='rotary': choose learned or sine"),
        ({"positions": "sine"}, r"square grid, not \(2, 3\)"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        VisionConfig(**(VISION.__dict__ | changes))
