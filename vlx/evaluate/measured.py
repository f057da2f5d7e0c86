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


def means(each: Mapping[str, np.ndarray], owner: np.ndarray | None = None) -> Metrics:
    """The mean of every metric over its values [N], N the same for all.

    owner: [N], from 0; values of one owner, such as texts of an image, are drawn together.
    """
    values = np.stack([*each.values(), np.ones(len(next(iter(each.values()))))], axis=1)
    if owner is not None:
        sums = np.zeros((owner.max() + 1, values.shape[1]))
        np.add.at(sums, owner, values)
        values = sums
    ends = np.stack(interval(values, lambda sums: sums[..., :-1] / sums[..., -1:]), axis=1)
    return Metrics(
        {name: np.mean(values) for name, values in each.items()},
        {name: (low, high) for name, (low, high) in zip(each, ends.tolist(), strict=True)},
    )
