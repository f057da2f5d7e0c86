"""Matrix-product FLOPs of a traced program, and what devices can do at best."""

import math
from collections.abc import Callable

import jax
from jax.extend import core
from jax.interpreters import partial_eval

# Dense bfloat16 peak, FLOP/s, from the makers' data sheets; keys are parts of `device_kind`.
PEAKS = {
    "h200": 989e12,
    "h100": 989e12,
    "a100": 312e12,
    "l40s": 362e12,
    "v3": 61.5e12,  # per core: JAX shows each of the two as a device
    "v4": 275e12,
    "v5 lite": 197e12,
    "v5e": 197e12,
    "v5": 459e12,  # also "v5p"; the smaller ones stand above
    "v6 lite": 918e12,
    "v6e": 918e12,
}


def peak_flops(device: jax.Device) -> float | None:
    """FLOP/s of a device at best; None where it is not known, as for CPUs."""
    kind = device.device_kind.lower()
    return next((peak for name, peak in PEAKS.items() if name in kind), None)


def count(function: Callable, *args) -> int:
    """FLOPs of the matrix products that the results of `function` need, loops counted in full.

    args: arrays or shapes. XLA's own count takes the body of a loop once.
    """
    jaxpr = jax.make_jaxpr(function)(*args).jaxpr
    needed, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return _count(needed)


def _count(jaxpr: core.Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        name, times = equation.primitive.name, 1
        if name == "dot_general":
            total += _of_product(equation)
        elif name == "scan":
            times = equation.params["length"]
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if isinstance(inner, core.ClosedJaxpr):
                    total += times * _count(inner.jaxpr)
                elif isinstance(inner, core.Jaxpr):
                    total += times * _count(inner)
    return total


def _of_product(equation) -> int:
    """2 m n k of a (batched) matrix product."""
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[i] for i in contracted)
