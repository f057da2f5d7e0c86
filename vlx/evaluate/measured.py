"""What an evaluator returns."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from vlx.evaluate.bootstrap import interval

Interval = tuple[float, float]
NONE: Mapping[str, Interval] = MappingProxyType({})


class Metrics(dict[str, float]):
    """Values by name, and the 95 % intervals of those that have one."""

    def __init__(self, values: Mapping[str, float], intervals: Mapping[str, Interval] = NONE):
        super().__init__({name: float(value) for name, value in values.items()})
        self.intervals = dict(intervals)

    def also(self, other: Mapping[str, float]) -> "Metrics":
        """These and others, with the intervals of both."""
        return Metrics(self | other, self.intervals | getattr(other, "intervals", {}))


def means(each: Mapping[str, np.ndarray]) -> Metrics:
    """The mean of every metric over its examples [N], N the same for all."""
    low, high = interval(np.stack(list(each.values()), axis=1))
    ends = zip(low.tolist(), high.tolist(), strict=True)
    values = {name: np.mean(values) for name, values in each.items()}
    return Metrics(values, dict(zip(each, ends, strict=True)))
