"""What several evaluators make of the same parameters, made once."""

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import jax

Value = TypeVar("Value")


class Remembered:
    """Values by name, of one set of parameters: the last that was asked about, while it lives.

    Parameters are the same if all their arrays are the same objects. The arrays are not kept alive,
    and values go with the first of them, so nothing outlasts a step of training.
    """

    def __init__(self):
        self._arrays: list[weakref.ref] = []
        self._values: dict[str, Any] = {}

    def get(self, name: str, params: Any, make: Callable[[], Value]) -> Value:
        """The value of this name, from `make` where it is not known of these parameters."""
        arrays = jax.tree.leaves(params)
        if not self._are_of(arrays):
            self._forget()
            self._arrays = [weakref.ref(x, self._forget) for x in arrays]
        if name not in self._values:
            self._values[name] = make()
        return self._values[name]

    def _are_of(self, arrays: list) -> bool:
        known = [array() for array in self._arrays]
        return len(known) == len(arrays) and all(a is b for a, b in zip(known, arrays, strict=True))

    def _forget(self, _=None) -> None:
        self._arrays, self._values = [], {}
