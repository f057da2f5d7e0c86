"""Initial values of the published models: a few more than `jax.nn.initializers` has by name."""

import jax
from jax.nn.initializers import (
    Initializer,
    constant,
    normal,
    ones,
    variance_scaling,
    xavier_uniform,
    zeros,
)

__all__ = [
    "Initializer",
    "constant",
    "cut_normal",
    "fan_in_uniform",
    "normal",
    "ones",
    "uniform",
    "xavier_uniform",
    "zeros",
]


def uniform(limit: float) -> Initializer:
    """Uniform in [-limit, limit]."""

    def draw(key, shape, dtype=float):
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return draw


def fan_in_uniform() -> Initializer:
    """Uniform in +-fan_in^-0.5, the default of PyTorch's linear layers and convolutions."""
    return variance_scaling(1 / 3, "fan_in", "uniform")


def cut_normal(deviation: float) -> Initializer:
    """Normal with the given deviation, drawn anew beyond one deviation; what is left has 0.54."""

    def draw(key, shape, dtype=float):
        return deviation * jax.random.truncated_normal(key, -1.0, 1.0, shape, dtype)

    return draw
