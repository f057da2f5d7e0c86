"""Learning rates by step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from vlx.errors import UserError


@dataclass(frozen=True)
class ScheduleConfig:
    """Warm-up, a shape, and an optional cool-down. Steps below 1 are shares of the whole run."""

    name: str = "cosine"  # cosine, linear, polynomial, rsqrt or constant
    warmup: float = 0.0  # steps of linear growth
    cooldown: float = 0.0  # last steps, of decay to `end`
    end: float = 0.0  # final rate of linear, polynomial and the cool-down
    power: float = 1.0  # of polynomial and the cool-down
    timescale: float = 10_000.0  # of rsqrt, in steps


def _cosine(c, peak, step, steps):
    return 0.5 * (1 + math.cos(math.pi * step / steps)) * peak


def _polynomial(c, peak, step, steps, power=None):
    return (1 - step / steps) ** (c.power if power is None else power) * (peak - c.end) + c.end


def _linear(c, peak, step, steps):
    return _polynomial(c, peak, step, steps, power=1)


def _rsqrt(c, peak, step, steps):
    return peak * math.sqrt(c.timescale / (c.timescale + step))


def _constant(c, peak, step, steps):
    return peak


SHAPES: dict[str, Callable[..., float]] = {
    "cosine": _cosine,
    "linear": _linear,
    "polynomial": _polynomial,
    "rsqrt": _rsqrt,
    "constant": _constant,
}


def learning_rate(c: ScheduleConfig, peak: float, steps: int, step: int) -> float:
    """The rate used for `step` (from 0) of a run of `steps`.

    The rate grows as (step + 1) / warmup, follows the shape over the steps that are left, and in
    the cool-down decays from the shape's value to `end` (as open_clip's schedules).
    """
    if c.name not in SHAPES:
        raise UserError(f"optimizer.schedule.name={c.name!r}: choose from {', '.join(SHAPES)}.")
    warmup, cooldown = _in_steps(c.warmup, steps), _in_steps(c.cooldown, steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    length, start = max(1, steps - warmup), steps - cooldown
    if cooldown and step >= start:
        top = SHAPES[c.name](c, peak, start - warmup, length)
        return _polynomial(c, top, min(step, steps) - start, cooldown)
    return SHAPES[c.name](c, peak, min(step, steps) - warmup, length)


def _in_steps(value: float, steps: int) -> int:
    return round(value * steps) if 0 < value < 1 else int(value)
