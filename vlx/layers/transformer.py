"""Pre-norm Transformer layers: self-attention, cross-attention, and stacks of them.

Letters: B batch, L tokens, S context tokens, D width, F hidden, H heads.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name

from vlx.layers import initializers as init
from vlx.layers import stack
from vlx.layers.attention import Attention, AttentionOptions
from vlx.layers.cache import Slots
from vlx.layers.mlp import Mlp
from vlx.layers.module import Module
from vlx.layers.norm import Norm
from vlx.layers.stack import Compute

Array = jax.Array


@dataclass(frozen=True)
class TransformerConfig:
    width: int
    layers: int
    heads: int
    hidden: int
    activation: str = "gelu"
    epsilon: float = 1e-5
    layer_scale: float = 0.0  # initial factor of every branch; 0 leaves the factors out
    attention: AttentionOptions = AttentionOptions()
    branch_norm: bool = False  # LayerNorm after the attention branch
    mlp_norm: bool = False  # LayerNorm after the activation of the MLP
    initial: str = "uniform"  # or "normal", CLIP's rule for its text tower

    def __post_init__(self):
        if self.width % self.heads:
            raise ValueError(f"width={self.width} does not divide into heads={self.heads}.")
        if self.initial not in ("uniform", "normal"):
            raise ValueError(f"initial={self.initial!r}: choose uniform or normal.")

    @property
    def initializers(self) -> dict[str, init.Initializer]:
        """Rules for the four kinds of kernel; CLIP's depend on width and depth."""
        if self.initial == "uniform":
            fused = init.uniform((6 / (4 * self.width)) ** 0.5)  # Xavier on [3D, D]
            other = init.fan_in_uniform()
            return {"query": fused, "out": other, "up": other, "down": other}
        residual = init.normal(self.width**-0.5 * (2 * self.layers) ** -0.5)
        return {
            "query": init.normal(self.width**-0.5),
            "out": residual,
            "up": init.normal((2 * self.width) ** -0.5),
            "down": residual,
        }


class LayerScale(Module):
    """A learned factor for each channel of a residual branch."""

    initial: float

    @nn.compact
    def __call__(self, x: Array) -> Array:
        factor = self.param("scale", init.constant(self.initial), x.shape[-1:])
        return x * factor.astype(x.dtype)


def attention_branch(c: TransformerConfig, dtype: str, name: str, *args, **kwargs) -> Array:
    """What attention adds to the residual stream; arguments as of `Attention.__call__`."""
    y = Attention(
        c.width,
        c.heads,
        c.attention,
        kernel_init=c.initializers["query"],
        out_init=c.initializers["out"],
        epsilon=c.epsilon,
        dtype=dtype,
        name=name,
    )(*args, **kwargs)
    y = checkpoint_name(y, "attention")
    if c.branch_norm:
        y = Norm(c.epsilon, dtype, name=f"{name}_branch_norm")(y)
    return LayerScale(c.layer_scale, name=f"{name}_scale")(y) if c.layer_scale else y


def mlp_branch(c: TransformerConfig, dtype: str, x: Array) -> Array:
    """What the normalised MLP adds to the residual stream."""
    y = Mlp(
        c.hidden,
        c.activation,
        norm=c.mlp_norm,
        up_init=c.initializers["up"],
        down_init=c.initializers["down"],
        epsilon=c.epsilon,
        dtype=dtype,
        name="mlp",
    )(Norm(c.epsilon, dtype, name="mlp_norm")(x))
    return LayerScale(c.layer_scale, name="mlp_scale")(y) if c.layer_scale else y


class SelfLayer(Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    config: TransformerConfig
    causal: bool = False
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array, mask: Array | None = None, slots: Slots | None = None) -> Array:
        """x: [B, L, D]; mask: bool [B, 1 or H, L, L], true where a query may look."""
        c = self.config
        y = Norm(c.epsilon, self.dtype, name="attention_norm")(x)
        where = {"mask": mask, "causal": self.causal, "slots": slots}
        x = x + attention_branch(c, self.dtype, "attention", y, **where)
        return x + mlp_branch(c, self.dtype, x)


class CrossLayer(Module):
    """x + attention(norm(x), norm(context)), then x + mlp(norm(x))."""

    config: TransformerConfig
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array, context: Array, slots: Slots | None = None) -> Array:
        """x: [B, L, D]; context: [B, S, any]."""
        c = self.config
        y = Norm(c.epsilon, self.dtype, name="attention_norm")(x)
        context = Norm(c.epsilon, self.dtype, name="context_norm")(context)
        x = x + attention_branch(c, self.dtype, "attention", y, context, slots=slots)
        return x + mlp_branch(c, self.dtype, x)


class Transformer(Module):
    """A stack of self-attention layers; a final norm is the caller's."""

    config: TransformerConfig
    compute: Compute
    causal: bool = False

    @nn.compact
    def __call__(self, x: Array, mask: Array | None = None, slots: Slots | None = None) -> Array:
        layer = SelfLayer(self.config, self.causal, self.compute.dtype, name="layers")
        return stack.run(layer, self.config.layers, self.compute, x, mask, slots)
