"""Batch normalisation whose running statistics are parameters that no gradient reaches.

Letters: B batch, G examples of a group, C channels.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vlx.errors import UserError
from vlx.layers.module import Module

Array = jax.Array

STATISTICS = "statistics"  # the collection of sums over groups, in training
RUNNING = ("mean", "variance")  # names of parameters that `follow` moves


class BatchNorm(Module):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias by channel: [B, ..., C], same shape.

    In training mean and variance are those of each `group` of consecutive examples, whatever the
    devices and the examples beside them; their sums over all groups are sown as STATISTICS.
    Without a group they are the running ones. All of it is float32, the result in `dtype`.
    """

    epsilon: float = 1e-5
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array, group: int | None = None) -> Array:
        channels = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, channels)
        bias = self.param("bias", nn.initializers.zeros, channels)
        mean = self.param("mean", nn.initializers.zeros, channels)
        variance = self.param("variance", nn.initializers.ones, channels)
        y = x.astype(jnp.float32)
        if group is None:
            y = (y - mean) * jax.lax.rsqrt(variance + self.epsilon)
        else:
            y = _grouped(y, group)
            axes = tuple(range(1, y.ndim - 1))
            mean = jnp.mean(y, axis=axes, keepdims=True)
            variance = jnp.mean(jnp.square(y - mean), axis=axes, keepdims=True)
            self._sow(mean, variance, numbers=y[0, ..., 0].size)
            y = ((y - mean) * jax.lax.rsqrt(variance + self.epsilon)).reshape(x.shape)
        return (y * scale + bias).astype(self.dtype)

    def _sow(self, mean: Array, variance: Array, numbers: int) -> None:
        """Sums over groups; running variances are unbiased, of so many `numbers` a channel."""
        groups, unbiased = len(mean), numbers / max(numbers - 1, 1)
        sums = {"mean": mean, "variance": variance * unbiased, "groups": jnp.ones((groups, 1))}
        sums = {name: jnp.sum(x.reshape(groups, -1), axis=0) for name, x in sums.items()}
        self.sow(STATISTICS, "sums", sums, reduce_fn=lambda _, new: new, init_fn=dict)


def _grouped(x: Array, group: int) -> Array:
    """[B, ...] -> [B / G, G, ...]."""
    if len(x) % group:
        raise UserError(
            f"loss.statistics_group={group} does not divide the {len(x)} examples that are in "
            f"memory at a time; choose a divisor, or a batch.size that is a multiple of "
            f"{group} micro-batches."
        )
    return x.reshape(len(x) // group, group, *x.shape[1:])


def follow(running: dict, statistics: dict, momentum: float) -> dict:
    """Running values after a step: `momentum` of the step's mean over groups, the rest as before.

    running: nested as the modules are, of RUNNING values; statistics: as STATISTICS.
    """
    if "sums" not in statistics:
        return {name: follow(x, statistics[name], momentum) for name, x in running.items()}
    sums = statistics["sums"]
    return {
        name: (1 - momentum) * x + momentum * sums[name] / sums["groups"]
        for name, x in running.items()
    }
