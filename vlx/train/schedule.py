"""Learning rates by step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from vlx.errors import UserError


@dataclass(frozen=True)
class ScheduleConfig:
    """Warm-up, a shape, and an optional cool-down. Steps below 1 are shares of the whole run."""

    name: str = "cosine"  # cosine, linear, linear_to_end, polynomial, rsqrt or constant
    warmup: float = 0.0  # steps of linear growth
    first: str = "step"  # what the first of them gets: a name in FIRST
    cooldown: float = 0.0  # last steps, of decay to `end`
    end: float = 0.0  # final rate of all but rsqrt and constant, and of the cool-down
    power: float = 1.0  # of polynomial and the cool-down
    timescale: float = 10_000.0  # of rsqrt, in steps


def _cosine(c, peak, step, steps):
    return 0.5 * (1 + math.cos(math.pi * step / steps)) * (peak - c.end) + c.end


def _polynomial(c, peak, step, steps, power=None):
    left = 1 - min(step, steps) / steps
    return left ** (c.power if power is None else power) * (peak - c.end) + c.end


def _linear(c, peak, step, steps):
    return _polynomial(c, peak, step, steps, power=1)


def _linear_to_end(c, peak, step, steps):
    """The last step still has the final rate; of the others the step after it would."""
    return _linear(c, peak, step, max(1, steps - 1))


def _rsqrt(c, peak, step, steps):
    return peak * math.sqrt(c.timescale / (c.timescale + step))


def _constant(c, peak, step, steps):
    return peak


SHAPES: dict[str, Callable[..., float]] = {
    "cosine": _cosine,
    "linear": _linear,
    "linear_to_end": _linear_to_end,
    "polynomial": _polynomial,
    "rsqrt": _rsqrt,
    "constant": _constant,
}


# Shares of the peak during the warm-up, by what the first step gets.
FIRST: dict[str, Callable[[int, int], float]] = {
    "step": lambda step, warmup: (step + 1) / warmup,  # open_clip
    "zero": lambda step, warmup: step / warmup,  # transformers
    "zero_to_peak": lambda step, warmup: step / max(1, warmup - 1),  # BEiT: the last has it all
}


def learning_rate(c: ScheduleConfig, peak: float, steps: int, step: int) -> float:
    """The rate used for `step` (from 0) of a run of `steps`.

    The rate grows to its peak, follows the shape over the steps that are left, and in the cool-down
    decays from the shape's value to `end` (as open_clip's schedules).
    """
    for key, known in (("name", SHAPES), ("first", FIRST)):
        if getattr(c, key) not in known:
            raise UserError(
                f"optimizer.schedule.{key}={getattr(c, key)!r}: choose from {', '.join(known)}."
            )
    warmup, cooldown = _in_steps(c.warmup, steps), _in_steps(c.cooldown, steps)
    if step < warmup:
        return peak * FIRST[c.first](step, warmup)
    length, start = max(1, steps - warmup), steps - cooldown
    if cooldown and step >= start:
        top = SHAPES[c.name](c, peak, start - warmup, length)
        return _polynomial(c, top, step - start, cooldown)
    return SHAPES[c.name](c, peak, step - warmup, length)


def _in_steps(value: float, steps: int) -> int:
    return int(value * steps) if 0 < value < 1 else int(value)
