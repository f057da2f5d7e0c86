"""Optimizers from a config: optax rules, decay and rate multipliers by parameter path."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vlx.errors import UserError
from vlx.tasks.task import LayerGroups
from vlx.train.partition import Flat, Partition
from vlx.train.schedule import ScheduleConfig

Array = jax.Array


@dataclass(frozen=True)
class OptimizerConfig:
    """Patterns are regular expressions that match a parameter's whole path."""

    name: str = "adamw"  # adamw, adamw_transformers, adafactor or sgd
    lr: float = 1e-3  # peak learning rate
    b1: float = 0.9  # decay of the first moment; the momentum of sgd
    b2: float = 0.999  # decay of the second moment
    eps: float = 1e-8
    weight_decay: float = 0.0  # decoupled, times the learning rate
    no_decay: tuple[str, ...] = (r".*(scale|bias)", r"(.*/)?(class_token|positions)")
    lr_scale: tuple[tuple[str, float], ...] = ()  # (pattern, factor), the first match counts
    layer_decay: Mapping[str, float] = field(  # group -> factor a layer
        default_factory=dict, hash=False
    )
    clip: float = 0.0  # largest global gradient norm; 0 is no limit
    limits: tuple[tuple[str, float, float], ...] = ()  # (pattern, lowest, highest) after an update
    momentum_dtype: str = "float32"  # of the first moment
    accumulate_dtype: str = "float32"  # of the sum of the micro-batches' gradients
    offload: bool = False  # moments wait in the host's memory between steps
    ema: float = 0.0  # decay of averaged parameters; 0 keeps none
    schedule: ScheduleConfig = ScheduleConfig()

    def __post_init__(self):
        for name in ("momentum_dtype", "accumulate_dtype"):
            if getattr(self, name) not in ("float32", "bfloat16"):
                raise ValueError(f"{name}={getattr(self, name)!r}: choose float32 or bfloat16.")


def build(c: OptimizerConfig, partition: Partition) -> optax.GradientTransformation:
    """Gradients to steps, before the learning rate: flat dictionaries of the trained parameters."""
    if c.name not in RULES:
        raise UserError(f"optimizer.name={c.name!r}: choose from {', '.join(RULES)}.")
    if c.name in DECAYS_LATE:
        return RULES[c.name](c)
    decayed = {path: not _matches(path, c.no_decay) for path in partition.trained}
    return optax.chain(
        RULES[c.name](c), optax.add_decayed_weights(c.weight_decay, mask=lambda _: decayed)
    )


def late_decay(c: OptimizerConfig, partition: Partition) -> dict[str, float]:
    """The decay of parameters that have taken their step already, by path, for `apply`."""
    late = partition.trained if c.name in DECAYS_LATE else ()
    return {path: c.weight_decay for path in late if not _matches(path, c.no_decay)}


def _adamw(c: OptimizerConfig) -> optax.GradientTransformation:
    return optax.scale_by_adam(c.b1, c.b2, c.eps, mu_dtype=c.momentum_dtype)


def _adamw_transformers(c: OptimizerConfig) -> optax.GradientTransformation:
    """The AdamW of Hugging Face transformers, with which many published models were trained.

    Adam, but eps is added before the second moment is corrected for its start at zero; the decay
    is taken of what the step has made (`late_decay`).
    """
    adam = optax.scale_by_adam(c.b1, c.b2, c.eps, mu_dtype=c.momentum_dtype)

    def update(updates, state, params=None):
        _, state = adam.update(updates, state, params)
        step = state.count.astype(jnp.float32)
        factor = jnp.sqrt(1 - c.b2**step) / (1 - c.b1**step)
        return jax.tree.map(
            lambda m, v: (factor * m / (jnp.sqrt(v) + c.eps)).astype(v.dtype), state.mu, state.nu
        ), state

    return optax.GradientTransformation(adam.init, update)


def _sgd(c: OptimizerConfig) -> optax.GradientTransformation:
    return optax.trace(c.b1, accumulator_dtype=c.momentum_dtype) if c.b1 else optax.identity()


def _adafactor(c: OptimizerConfig) -> optax.GradientTransformation:
    """Factored second moments with Adam's bias-corrected decay, and a plain first moment.

    CoCa and ViT-G use Adafactor as a smaller Adam: no relative step sizes, b1 = 0.9, b2 = 0.999.
    """

    def decay(step, _):
        t = jnp.asarray(step, jnp.float32) + 1
        return c.b2 * (1 - c.b2 ** (t - 1)) / (1 - c.b2**t)

    second = optax.scale_by_factored_rms(
        min_dim_size_to_factor=32, decay_rate_fn=decay, epsilon=1e-30
    )
    first = optax.ema(c.b1, debias=False, accumulator_dtype=c.momentum_dtype)
    return optax.chain(_as_matrices(second), first)


RULES: dict[str, Callable[[OptimizerConfig], optax.GradientTransformation]] = {
    "adamw": _adamw,
    "adamw_transformers": _adamw_transformers,
    "adafactor": _adafactor,
    "sgd": _sgd,
}
DECAYS_LATE = ("adamw_transformers",)


def _as_matrices(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """Shows attention kernels to `inner` as the matrices that they are.

    Factoring looks at the two largest axes; [layers, width, heads, size] has three that matter.
    """

    def view(path: str, x: Array) -> Array:
        if re.fullmatch(r"(.*/)?(query|key|value)/(\w+/)?kernel", path):
            return x.reshape(*x.shape[:-2], -1)
        if re.fullmatch(r"(.*/)?out/(\w+/)?kernel", path):
            return x.reshape(*x.shape[:-3], -1, x.shape[-1])
        return x

    def views(tree):
        return {path: view(path, x) for path, x in tree.items()}

    def update(updates, state, params=None):
        shapes = {path: x.shape for path, x in updates.items()}
        params = None if params is None else views(params)
        updates, state = inner.update(views(updates), state, params)
        return {path: x.reshape(shapes[path]) for path, x in updates.items()}, state

    return optax.GradientTransformation(lambda params: inner.init(views(params)), update)


def clip(gradient: Flat, norm: Array, largest: float) -> Flat:
    """Gradients scaled so that their global norm is at most `largest` (0: no limit).

    The factor is min(1, largest / (norm + 1e-6)), as PyTorch's.
    """
    if not largest:
        return gradient
    factor = jnp.minimum(1.0, largest / (norm + 1e-6))
    return jax.tree.map(lambda g: g * factor.astype(g.dtype), gradient)


def rate_scales(
    c: OptimizerConfig,
    partition: Partition,
    shapes: Mapping[str, tuple[int, ...]],
    groups: Mapping[str, LayerGroups],
) -> dict[str, Any]:
    """The factor of the learning rate by path: a float, or a column for the layers of a stack.

    shapes: of the whole parameters. Layer-wise decay gives the head 1 and each group below it one
    factor more; what is in no group keeps 1.
    """
    unknown = set(c.layer_decay) - set(groups)
    if unknown:
        raise UserError(
            f"optimizer.layer_decay: no group {sorted(unknown)}; this task has {sorted(groups)}."
        )
    scales = {}
    for path, span in partition.trained.items():
        scale = next((s for pattern, s in c.lr_scale if re.fullmatch(pattern, path)), 1.0)
        for name, decay in c.layer_decay.items():
            scale = scale * _layer_scale(path, shapes, groups[name], decay)
        if span is not None and np.ndim(scale):
            scale = scale[span[0] : span[1]]
        scales[path] = scale
    return scales


def _layer_scale(path: str, shapes, g: LayerGroups, decay: float):
    """decay^(groups above): 0 for the head, 1 for the last layer, layers + 1 for embeddings."""
    of_stack = {_stack(p): shapes[p][0] for p in sorted(shapes) if re.fullmatch(g.stack, p)}
    layers = sum(of_stack.values())
    if re.fullmatch(g.stack, path):
        below = sum(n for name, n in of_stack.items() if name < _stack(path))
        above = layers - below - np.arange(of_stack[_stack(path)])
        return (decay**above).reshape(-1, *[1] * (len(shapes[path]) - 1))
    if re.fullmatch(g.embeddings, path):
        return decay ** (layers + 1)
    return decay if re.fullmatch(g.last, path) else 1.0


def _stack(path: str) -> str:
    """What owns the layers: an encoder, or its part `lower` or `upper`."""
    return path.partition("/layers/")[0]


def apply(
    params: Flat,
    updates: Flat,
    rate: Array,
    scales: Mapping[str, Any],
    decay: Mapping[str, float] | None = None,
) -> Flat:
    """Parameters after a step of `rate` along the updates, and then their `late_decay`."""

    def step(path: str, x: Array) -> Array:
        own = rate * scales[path]
        moved = x - own * updates[path]
        return (moved - own * (decay or {}).get(path, 0.0) * moved).astype(x.dtype)

    return {path: step(path, x) for path, x in params.items()}


def limit(params: Flat, limits: Sequence[tuple[str, float, float]]) -> Flat:
    """Parameters with every match of a pattern kept between its bounds."""
    result = dict(params)
    for pattern, low, high in limits:
        for path in result:
            if re.fullmatch(pattern, path):
                result[path] = jnp.clip(result[path], low, high)
    return result


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(re.fullmatch(pattern, path) for pattern in patterns)
