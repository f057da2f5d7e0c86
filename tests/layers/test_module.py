"""Parameters that exist are taken as they are, if their shape is the one that is asked for."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax.errors import ScopeParamNotFoundError, ScopeParamShapeError

from vlx.layers.module import Conv, Dense, DenseGeneral, Module


def never(key, shape, dtype=jnp.float32):
    raise AssertionError("an initializer ran although there is a parameter")


class Scale(Module):
    @nn.compact
    def __call__(self, x):
        return x * self.param("scale", never, x.shape[-1:])


def test_initializers_run_for_new_parameters_alone():
    x = jnp.ones((2, 3))
    given = Scale().apply({"params": {"scale": jnp.array([1.0, 2.0, 3.0])}}, x)
    assert given.tolist() == [[1, 2, 3], [1, 2, 3]]
    with pytest.raises(AssertionError, match="an initializer ran"):
        Scale().init(jax.random.key(0), x)


def test_a_parameter_that_is_missing_or_of_another_shape_is_named():
    with pytest.raises(ScopeParamShapeError, match=r'"scale".*shape \(3,\), but .* shape \(4,\)'):
        Scale().apply({"params": {"scale": jnp.ones(4)}}, jnp.ones((2, 3)))
    with pytest.raises(ScopeParamNotFoundError, match='"scale"'):
        Scale().apply({"params": {"other": jnp.ones(4)}}, jnp.ones((2, 3)))


@pytest.mark.parametrize(
    ("ours", "plain", "shape"),
    [
        (Dense(4), nn.Dense(4), (2, 3)),
        (DenseGeneral((2, 2)), nn.DenseGeneral((2, 2)), (2, 3)),
        (Conv(4, (1, 1)), nn.Conv(4, (1, 1)), (2, 5, 5, 3)),
    ],
)
def test_layers_begin_and_compute_as_flaxs(ours, plain, shape):
    x = jax.random.normal(jax.random.key(0), shape)
    got, want = (module.init(jax.random.key(1), x) for module in (ours, plain))
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), got, want))
    assert (ours.apply(got, x) == plain.apply(want, x)).all()
