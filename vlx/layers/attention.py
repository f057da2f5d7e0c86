"""Attention: one product for every model, and the projections around it.

Letters: B batch, T queries, S keys attended to, D width, H heads, K head size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vlx.layers import initializers as init
from vlx.layers.cache import CACHE, Slots
from vlx.layers.module import DenseGeneral, Module
from vlx.layers.norm import Norm
from vlx.layers.parts import Parts, through

Array = jax.Array

HIDDEN = float(np.finfo(np.float32).min) * 0.7  # as in jax.nn.dot_product_attention
READ = "intermediates"  # a collection; where it is mutable, it gets `probabilities` [B, H, T, S]
LARGEST_LOGIT_SCALE = np.log(100.0)  # of cosine attention, as open_clip


def attention(
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None = None,
    bias: Array | None = None,
    causal: bool = False,
    scale: float | None = None,
    drop: Callable[[Array], Array] | None = None,
) -> Array:
    """softmax(query key^T * scale + bias) value: [B, T, H, K], softmax in float32.

    query: [B, T, H, K]; key, value: [B, S, H, K]; mask: bool, true where a query may look, and
    bias: added to the logits, both [B or 1, H or 1, T or 1, S]. `scale` defaults to K^-0.5.
    `drop` is applied to the probabilities (dropout). A row whose mask is false everywhere returns
    the mean of the values.
    """
    if drop is not None:
        return _with_dropout(query, key, value, mask, bias, causal, scale, drop)
    return _product(query, key, value, bias=bias, mask=mask, is_causal=causal, scale=scale)


_product = jax.jit(  # traced once for each shape
    jax.nn.dot_product_attention, static_argnames=("is_causal", "scale"), inline=True
)


def _with_dropout(query, key, value, mask, bias, causal, scale, drop) -> Array:
    """`attention` with its probabilities in the open; no fused kernel takes our masks."""
    share = drop(_probabilities(query, key, mask, bias, causal, scale)).astype(value.dtype)
    return jnp.einsum("BHTS,BSHK->BTHK", share, value)


def _probabilities(query, key, mask, bias, causal, scale) -> Array:
    """What each query reads of each key: [B, H, T, S], float32."""
    logits = jnp.einsum("BTHK,BSHK->BHTS", query, key, preferred_element_type=jnp.float32)
    logits = logits * (query.shape[-1] ** -0.5 if scale is None else scale)
    logits = logits if bias is None else logits + bias
    if causal:
        seen = jnp.tril(jnp.ones(logits.shape[-2:], bool))
        mask = seen if mask is None else mask & seen
    logits = logits if mask is None else jnp.where(mask, logits, HIDDEN)
    return jax.nn.softmax(logits, axis=-1)


@dataclass(frozen=True)
class AttentionOptions:
    """What some published models add to the plain attention layer."""

    qk_norm: bool = False  # LayerNorm of queries and keys over the head size
    cosine: bool = False  # queries and keys of unit length, one learned temperature a head
    head_scale: bool = False  # a learned factor for the output of each head
    inner_norm: bool = False  # LayerNorm of the merged heads before the output projection
    biases: str = "qkv"  # which of query, key and value have them; softmax ignores the key's

    def __post_init__(self):
        if not set(self.biases) <= set("qkv"):
            raise ValueError(f"biases={self.biases!r} must be some of the letters q, k, v.")
        if self.qk_norm and self.cosine:
            raise ValueError("cosine attention has its own normalisation: qk_norm must be false.")


class Attention(Module):
    """Multi-head attention from `x` to itself, or to `context` if one is given."""

    width: int
    heads: int
    options: AttentionOptions = AttentionOptions()
    kernel_init: init.Initializer = init.fan_in_uniform()
    out_init: init.Initializer = init.fan_in_uniform()
    epsilon: float = 1e-5
    dropout: float = 0.0  # of the probabilities, where there is an rng named `dropout`
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self,
        x: Array,
        context: Array | None = None,
        mask: Array | None = None,
        causal: bool = False,
        slots: Slots | None = None,
        bias: Array | None = None,
        parts: Parts | None = None,
    ) -> Array:
        """x: [B, T, any]; context: [B, S, any] -> [B, T, width]; mask, bias as in `attention`.

        With `slots`, x continues a text, causally, and mask is [B or 1, H or 1, T or 1, L]; a
        context is read once, when it is first given, and may serve several texts: [C, S, any].
        With `parts`, without context, each kind of token has projections and inner norm of its own.
        """
        o, size = self.options, self.width // self.heads
        norm = partial(Norm, epsilon=self.epsilon, dtype=self.dtype)
        itself = context is None
        context = x if itself else context

        def project(name: str, x: Array) -> Array:
            make = partial(
                DenseGeneral,
                (self.heads, size),
                use_bias=name[0] in o.biases,
                kernel_init=self.kernel_init,
                dtype=self.dtype,
            )
            return through(make, name, x, parts)

        q, k, v = project("query", x), project("key", context), project("value", context)
        scale = None
        if o.qk_norm:
            q, k = norm(name="query_norm")(q), norm(name="key_norm")(k)
        if o.cosine:
            q, k, scale = self._cosine(q, k)
        drop = None
        if self.dropout > 0 and self.has_rng("dropout"):
            drop = nn.Dropout(self.dropout, deterministic=False)
        shape = q.shape
        if slots is not None and itself:
            k, v, mask = self._remember(k, v, mask, slots)
            causal = False
        elif slots is not None:
            k, v = self._remember_context(k, v)
            q = q.reshape(len(k), -1, *shape[2:])  # texts that share a context, in one product
        if self.is_mutable_collection(READ):
            self.sow(READ, "probabilities", _probabilities(q, k, mask, bias, causal, scale))
        y = attention(q, k, v, mask=mask, bias=bias, causal=causal, scale=scale, drop=drop)
        y = y.reshape(shape)  # BTHK
        if o.head_scale:
            factor = self.param("head_scale", init.ones, (self.heads,))
            y = y * factor[:, None].astype(y.dtype)
        if o.inner_norm:
            flat = y.reshape(*y.shape[:-2], self.width)
            y = through(norm, "inner_norm", flat, parts).reshape(y.shape)
        out = partial(
            DenseGeneral,
            self.width,
            axis=(-2, -1),
            kernel_init=self.out_init,
            dtype=self.dtype,
        )
        return through(out, "out", y, parts)

    def _remember(self, k: Array, v: Array, mask: Array | None, slots: Slots):
        """All keys and values so far, [B, L, H, K], and what of them each token may read."""
        empty = (len(k), slots.length, *k.shape[2:])
        keys = self.variable(CACHE, "past_key", jnp.zeros, empty, k.dtype)
        values = self.variable(CACHE, "past_value", jnp.zeros, empty, v.dtype)
        keys.value, values.value = slots.write(keys.value, k), slots.write(values.value, v)
        visible = slots.visible(k.shape[1])
        return keys.value, values.value, visible if mask is None else mask & visible

    def _remember_context(self, k: Array, v: Array) -> tuple[Array, Array]:
        """The context's keys and values as they were at the first call; later ones are not used."""
        keys = self.variable(CACHE, "context_key", lambda: k)
        return keys.value, self.variable(CACHE, "context_value", lambda: v).value

    def _cosine(self, q: Array, k: Array) -> tuple[Array, Array, float]:
        """Queries times their temperature, keys of unit length, and the scale that is left: 1."""
        log_scale = self.param("logit_scale", init.constant(np.log(10.0)), (self.heads,))
        factor = jnp.exp(jnp.minimum(log_scale, LARGEST_LOGIT_SCALE))[:, None]
        q, k = unit(q).astype(q.dtype), unit(k).astype(k.dtype)
        return q * factor.astype(q.dtype), k, 1.0


@jax.checkpoint  # keeps x as it came for the backward pass, no float32 copies
def unit(x: Array, epsilon: float = 1e-12) -> Array:
    """x scaled to unit length over the last axis, in float32; zero stays zero.

    The gradient is finite at zero, unlike that of x / norm(x).
    """
    x = x.astype(jnp.float32)
    square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(square, epsilon**2))
