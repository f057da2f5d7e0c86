"""Matrix-product FLOPs of a traced program, and what devices can do at best."""

import math
from collections.abc import Callable, Iterator

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
    """FLOPs of the matrix products and convolutions that the results of `function` need.

    args: arrays or shapes. Loops count in full, where XLA's own count takes their body once; of the
    branches of a condition the cheapest counts.
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
        elif name == "conv_general_dilated":
            total += _of_convolution(equation)
        elif name == "scan":
            times = equation.params["length"]
        inner = [_count(x) for x in _inner(equation)]
        # What happens on a condition is rare, such as the start of a codebook.
        total += min(inner) if name == "cond" else times * sum(inner)
    return total


def _inner(equation) -> Iterator[core.Jaxpr]:
    """The programs that an equation is about: bodies of loops, branches of conditions."""
    for value in equation.params.values():
        for x in value if isinstance(value, tuple | list) else (value,):
            if isinstance(x, core.ClosedJaxpr | core.Jaxpr):
                yield x.jaxpr if isinstance(x, core.ClosedJaxpr) else x


def _of_convolution(equation) -> int:
    """2 x numbers of the result x numbers of the kernel for each; borders count as the rest."""
    kernel = equation.invars[1].aval.shape
    outputs = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) // outputs


def _of_product(equation) -> int:
    """2 m n k of a (batched) matrix product."""
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[i] for i in contracted)
