"""Transformer layers that attend to all tokens and have a feed-forward expert for each kind.

Papers: VLMo (arXiv 2111.02358), BEiT-3 (arXiv 2208.10442), whose released models give each kind
projections and norms of its own too; inner norms are Magneto's (arXiv 2210.06423).

Letters: B batch, L tokens, D width, F hidden, H heads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name

from vlx.layers import initializers as init
from vlx.layers import stack
from vlx.layers.attention import Attention, AttentionOptions
from vlx.layers.cache import Slots
from vlx.layers.dropout import DropPath, depth_rates
from vlx.layers.mlp import Mlp
from vlx.layers.module import Module
from vlx.layers.norm import Norm
from vlx.layers.parts import Parts, join, split, through
from vlx.layers.relative import RelativeBias
from vlx.layers.stack import Compute
from vlx.layers.transformer import LayerScale

Array = jax.Array

PAIR = "pair"  # the expert for all tokens of an image and a text together


@dataclass(frozen=True)
class MultiwayConfig:
    width: int
    layers: int
    heads: int
    hidden: int
    experts: tuple[str, ...] = ("text", "image")  # of every layer; one alone is for all tokens
    pair_layers: int = 0  # so many at the top have the expert PAIR too
    apart: bool = False  # each kind also has its own projections of attention and its own norms
    inner_norm: bool = False  # before the output projection and before the last of an expert
    epsilon: float = 1e-6
    layer_scale: float = 0.0  # initial factor of every branch; 0 leaves the factors out
    relative_rows: int = 0  # of each layer's own table of relative positions; 0: none
    biases: str = "qv"  # which of query, key and value have them
    drop_path: float = 0.0  # of the last layer's branches; grows evenly from 0
    drop_together: bool = False  # an example's feed-forward branch is dropped for all its kinds
    deviation: float = 0.02  # of fresh kernels
    truncated: bool = False  # at one deviation, as BEiT's

    def __post_init__(self):
        if self.width % self.heads:
            raise ValueError(f"width={self.width} does not divide into heads={self.heads}.")
        if not 0 <= self.pair_layers <= self.layers:
            raise ValueError(f"pair_layers={self.pair_layers} must be 0 to layers={self.layers}.")
        if self.apart and self.pair_layers:
            raise ValueError("apart: kinds that share nothing have no layers for pairs.")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path={self.drop_path} must be 0 or more, and less than 1.")

    @property
    def kernel_init(self) -> init.Initializer:
        return init.cut_normal(self.deviation) if self.truncated else init.normal(self.deviation)


class Expert(Module):
    """The feed-forward branch for one kind of token, with the norm before it."""

    config: MultiwayConfig
    dtype: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        c = self.config
        return Mlp(
            c.hidden,
            norm=c.inner_norm,
            up_init=c.kernel_init,
            down_init=c.kernel_init,
            bias_init=lambda fan_in: init.zeros,
            epsilon=c.epsilon,
            dtype=self.dtype,
            name="mlp",
        )(Norm(c.epsilon, self.dtype, name="norm")(x))


class MultiwayLayer(Module):
    """x + attention(norm(x)), then each part of x + its expert(part)."""

    config: MultiwayConfig
    dtype: str

    @nn.compact
    def __call__(
        self,
        x: Array,
        mask: Array | None,
        bias: Array | None,
        index: Array | None,
        slots: Slots | None,
        *,
        parts: Parts,
        each: Array | None = None,
    ) -> Array:
        """x: [B, L, D]; mask: bool [B or 1, 1, L or 1, L], true for tokens that may be read.

        bias: [H, L, L], added to the logits by all layers alike; index: int32 [L, L], rows of the
        layer's own table; slots: where x continues a text, see `Attention`; each: the layer's rate
        of dropped branches.
        """
        c = self.config
        if c.relative_rows:
            bias = RelativeBias(c.relative_rows, c.heads, name="relative")(index)
        scaled = {
            name: LayerScale(c.layer_scale, name=f"{name}_scale") if c.layer_scale else lambda y: y
            for name in ("attention", "mlp")
        }
        own = parts if c.apart else None
        norm = partial(Norm, c.epsilon, self.dtype)
        y = Attention(
            c.width,
            c.heads,
            AttentionOptions(inner_norm=c.inner_norm, biases=c.biases),
            kernel_init=c.kernel_init,
            out_init=c.kernel_init,
            epsilon=c.epsilon,
            dtype=self.dtype,
            name="attention",
        )(
            through(norm, "attention_norm", x, own),
            mask=mask,
            slots=slots,
            bias=None if bias is None else bias[None].astype(self.dtype),
            parts=own,
        )
        x = x + DropPath()(scaled["attention"](checkpoint_name(y, "attention")), each)

        def branch(name: str, x: Array) -> Array:
            y = scaled["mlp"](Expert(c, self.dtype, name=name)(x))
            return y if c.drop_together else DropPath()(y, each)

        if c.drop_together:
            return x + DropPath()(self.feed(x, parts, branch), each)
        return x + self.feed(x, parts, branch)

    def feed(self, x: Array, parts: Parts, branch: Callable[[str, Array], Array]) -> Array:
        """What each part's own expert makes of it."""
        return join([branch(name, part) for name, part in split(x, parts)])


class MultiwayLayers(Module):
    """Layers number `first` to `last` of a config's."""

    config: MultiwayConfig
    compute: Compute
    first: int
    last: int
    layer: type[nn.Module] = MultiwayLayer

    @nn.compact
    def __call__(
        self,
        x: Array,
        parts: Parts,
        mask: Array | None = None,
        bias: Array | None = None,
        index: Array | None = None,
        slots: Slots | None = None,
        collect: bool = False,
    ) -> Array:
        """Arguments as of `MultiwayLayer`; with `collect` [layers, B, L, D], after every layer."""
        c = self.config
        rates = depth_rates(c.drop_path, c.layers)
        rates = None if rates is None else rates[self.first : self.last]
        layer = self.layer(c, self.compute.dtype, name="layers")
        length = self.last - self.first
        given = mask, bias, index, slots
        how = {"each": rates, "collect": collect, "parts": parts}
        return stack.run(layer, length, self.compute, x, *given, **how)


class Multiway(Module):
    """The layers of a config in two stacks: `lower`, and `upper` with the expert for pairs."""

    config: MultiwayConfig
    compute: Compute

    def setup(self):
        c = self.config
        middle = c.layers - c.pair_layers
        if middle:
            self.lower = MultiwayLayers(c, self.compute, 0, middle)
        if c.pair_layers:
            self.upper = MultiwayLayers(c, self.compute, middle, c.layers)

    def __call__(self, x: Array, parts: Parts, together: bool = False, **how) -> Array:
        """All layers: [B, L, D] -> [B, L, D]. `together`: the upper layers see one kind, PAIR."""
        return self.rise(self.climb(x, parts, **how), parts, together, **how)

    def climb(self, x: Array, parts: Parts, **how) -> Array:
        """The lower layers alone; x itself if there are none."""
        if self.config.pair_layers == self.config.layers:
            return x
        return self.lower(x, self._served(x, parts), **how)

    def rise(self, x: Array, parts: Parts, together: bool = False, **how) -> Array:
        """The upper layers alone, after the lower ones; x itself if there are none."""
        if not self.config.pair_layers:
            return x
        parts = ((PAIR, x.shape[1]),) if together else self._served(x, parts)
        return self.upper(x, parts, **how)

    def _served(self, x: Array, parts: Parts) -> Parts:
        """The parts by the experts that there are: one expert takes all tokens at once."""
        experts = self.config.experts
        return parts if len(experts) > 1 else ((experts[0], x.shape[1]),)
