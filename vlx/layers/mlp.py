"""The position-wise part of a Transformer layer.

Letters: B batch, L tokens, D width, F hidden.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from vlx.layers import initializers as init
from vlx.layers.module import Dense, Module
from vlx.layers.norm import Norm

Array = jax.Array


def quick_gelu(x: Array) -> Array:
    """x * sigmoid(1.702 x), the approximation of GELU in OpenAI's CLIP weights."""
    return x * nn.sigmoid(jnp.asarray(1.702, x.dtype) * x)


def gelu(x: Array) -> Array:
    """The exact (erf) GELU."""
    return nn.gelu(x, approximate=False)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"gelu": gelu, "quick_gelu": quick_gelu}


class Mlp(Module):
    """Two linear layers with an activation between them: [B, L, D] -> [B, L, D]."""

    hidden: int
    activation: str = "gelu"
    norm: bool = False  # LayerNorm after the activation
    up_init: init.Initializer = init.fan_in_uniform()
    down_init: init.Initializer = init.fan_in_uniform()
    bias_init: Callable[[int], init.Initializer] = lambda fan_in: init.uniform(fan_in**-0.5)
    epsilon: float = 1e-5
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        width = x.shape[-1]
        y = Dense(
            self.hidden,
            kernel_init=self.up_init,
            bias_init=self.bias_init(width),
            dtype=self.dtype,
            name="up",
        )(x)
        y = ACTIVATIONS[self.activation](jax.ad_checkpoint.checkpoint_name(y, "mlp_hidden"))
        if self.norm:
            y = Norm(self.epsilon, self.dtype, name="norm")(y)
        return Dense(
            width,
            kernel_init=self.down_init,
            bias_init=self.bias_init(self.hidden),
            dtype=self.dtype,
            name="down",
        )(y)
