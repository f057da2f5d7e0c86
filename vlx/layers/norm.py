"""Layer normalisation that keeps nothing but its input for the backward pass."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from vlx.layers.module import Module

Array = jax.Array


class Norm(Module):
    """LayerNorm over the last axis: statistics in float32, result in `dtype`."""

    epsilon: float = 1e-5
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return layer_norm(x, scale, bias, self.epsilon).astype(self.dtype)


@partial(jax.jit, static_argnames="epsilon", inline=True)  # traced once for each shape
def layer_norm(x: Array, scale: Array, bias: Array, epsilon: float) -> Array:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over the last axis, in the dtype of x.

    Automatic differentiation would keep the normalised activations in float32, twice the memory of
    a bfloat16 input; this form recomputes them from x and two numbers per row.
    """
    return _layer_norm(x, scale, bias, epsilon)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _layer_norm(x, scale, bias, epsilon):
    return _forward(x, scale, bias, epsilon)[0]


def _forward(x, scale, bias, epsilon):
    y = x.astype(jnp.float32)
    mean = jnp.mean(y, axis=-1, keepdims=True)
    rate = jax.lax.rsqrt(jnp.mean(jnp.square(y - mean), axis=-1, keepdims=True) + epsilon)
    y = (y - mean) * rate * scale + bias
    return y.astype(x.dtype), (x, scale, mean, rate)


def _backward(epsilon, kept, gradient):
    x, scale, mean, rate = kept
    g = gradient.astype(jnp.float32)
    y = (x.astype(jnp.float32) - mean) * rate
    rows = tuple(range(x.ndim - 1))
    to_scale, to_bias = jnp.sum(g * y, axis=rows), jnp.sum(g, axis=rows)
    g = g * scale
    to_x = g - jnp.mean(g, axis=-1, keepdims=True) - y * jnp.mean(g * y, axis=-1, keepdims=True)
    return (rate * to_x).astype(x.dtype), to_scale, to_bias


_layer_norm.defvjp(_forward, _backward)
