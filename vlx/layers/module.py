"""Modules whose parameters are checked by their shapes alone.

At every use of a parameter that exists flax traces its initializer anew, to compare the shape of
what it would give: about a third of the time that a model takes to trace.
"""

from typing import Any

import flax.linen as nn
import jax
from flax.errors import ScopeParamShapeError

from vlx.layers.initializers import Initializer


class Module(nn.Module):
    """The base of all modules of vlx."""

    def param(
        self, name: str, init_fn: Initializer, shape: tuple[int, ...], *rest: Any, **kwargs: Any
    ) -> jax.Array:
        """The parameter of this shape, drawn by `init_fn(key, shape, ...)` where there is none yet.

        Raises ScopeParamShapeError if there is one of another shape.
        """
        if self.is_initializing() or not self.has_variable("params", name):
            return super().param(name, init_fn, shape, *rest, **kwargs)
        value = nn.meta.unbox(self.get_variable("params", name))
        if value.shape != tuple(shape):
            raise ScopeParamShapeError(name, self.scope.path_text, value.shape, shape)
        return value


class Dense(Module, nn.Dense):
    """flax's, checked by shape."""


class DenseGeneral(Module, nn.DenseGeneral):
    """flax's, checked by shape."""


class Conv(Module, nn.Conv):
    """flax's, checked by shape."""
