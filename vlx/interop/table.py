"""The engine that moves weights between an official checkpoint and vlx parameters.

A table is a list of rules; the same rules serve both directions. Names may hold `{layer}`: the
official tensors of all layers are then stacked along a first axis. Parameters are flat
dictionaries: vlx path (`image/patches/projection/kernel`) or official name to array.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vlx.errors import UserError

Arrays = tuple[Any, ...]  # NumPy or JAX; the engine keeps the kind
Flat = Mapping[str, Any]


@dataclass(frozen=True)
class Transform:
    """A pair of inverse functions from the arrays of one side to those of the other."""

    to_vlx: Callable[..., Arrays]
    to_official: Callable[..., Arrays]


SAME = Transform(lambda x: (x,), lambda x: (x,))
TRANSPOSED = Transform(lambda x: (x.T,), lambda x: (x.T,))


@dataclass(frozen=True)
class Rule:
    """Official tensors and the vlx parameters that hold the same numbers."""

    official: str | tuple[str, ...]
    vlx: str | tuple[str, ...]
    transform: Transform = SAME
    span: tuple[int, int] | None = None  # of official layers, first to last; None: all

    @property
    def official_names(self) -> tuple[str, ...]:
        return (self.official,) if isinstance(self.official, str) else self.official

    @property
    def vlx_paths(self) -> tuple[str, ...]:
        return (self.vlx,) if isinstance(self.vlx, str) else self.vlx


def below(name: str, rules: Sequence[Rule]) -> list[Rule]:
    """The rules of a model that is a part of another, under a name that both sides share."""
    return [
        replace(
            rule,
            official=tuple(f"{name}.{x}" for x in rule.official_names),
            vlx=tuple(f"{name}/{x}" for x in rule.vlx_paths),
        )
        for rule in rules
    ]


def to_vlx(table: Sequence[Rule], official: Flat) -> dict[str, Any]:
    """vlx parameters from official tensors; every tensor is used exactly once.

    Raises UserError with the names that are missing or left over.
    """
    used, missing, result = set(), [], {}
    for rule in table:
        layers = _layers(rule, official)
        names = [[name.format(layer=i) for name in rule.official_names] for i in layers]
        used.update(name for row in names for name in row if name in official)
        absent = [name for row in names for name in row if name not in official]
        if absent or not names:
            missing += absent or list(rule.official_names)
            continue
        rows = [rule.transform.to_vlx(*[official[name] for name in row]) for row in names]
        values = (
            rows[0] if layers == [""] else [_stack(column) for column in zip(*rows, strict=True)]
        )
        result.update(zip(rule.vlx_paths, values, strict=True))
    _complain("official", missing, set(official) - used)
    return result


def to_official(table: Sequence[Rule], params: Flat) -> dict[str, Any]:
    """Official tensors from vlx parameters; every parameter is used exactly once.

    Raises UserError with the paths that are missing or left over.
    """
    used, missing, result = set(), [], {}
    for rule in table:
        used.update(path for path in rule.vlx_paths if path in params)
        absent = [path for path in rule.vlx_paths if path not in params]
        if absent:
            missing += absent
            continue
        values = [params[path] for path in rule.vlx_paths]
        stacked = any("{layer}" in name for name in rule.official_names)
        layers = range(values[0].shape[0]) if stacked else [""]
        start = rule.span[0] if rule.span else 0
        for i in layers:
            row = rule.transform.to_official(*[v[i] if stacked else v for v in values])
            number = start + i if stacked else ""
            names = [name.format(layer=number) for name in rule.official_names]
            result.update(zip(names, row, strict=True))
    _complain("vlx", missing, set(params) - used)
    return result


def _layers(rule: Rule, official: Flat) -> list:
    """The numbers of the layers that a rule is about: 0, 1, ...; [""] if not stacked."""
    first = rule.official_names[0]
    if "{layer}" not in first:
        return [""]
    if rule.span:
        return list(range(*rule.span))
    pattern = re.compile(re.escape(first).replace(r"\{layer\}", r"(\d+)"))
    found = sorted(int(m[1]) for m in map(pattern.fullmatch, official) if m)
    return list(range(found[-1] + 1)) if found else []


def _stack(arrays: Sequence) -> Any:
    namespace = jnp if isinstance(arrays[0], jax.Array) else np
    return namespace.stack(arrays)


def concatenate(arrays: Sequence) -> Any:
    """One array of several, of their kind."""
    namespace = jnp if isinstance(arrays[0], jax.Array) else np
    return namespace.concatenate(arrays)


def _complain(side: str, missing: Sequence[str], left: set[str]) -> None:
    if missing or left:
        parts = [("missing", sorted(missing)), ("not used", sorted(left))]
        lists = "; ".join(f"{what}: {_few(names)}" for what, names in parts if names)
        raise UserError(f"The {side} weights do not fit this model's table. {lists}.")


def _few(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def heads_kernel(heads: int) -> Transform:
    """A linear weight [H K, D] and its kernel [D, H, K]."""
    return Transform(
        lambda w: (w.T.reshape(w.shape[1], heads, -1),),
        lambda k: (k.reshape(k.shape[0], -1).T,),
    )


def heads_bias(heads: int) -> Transform:
    """A bias [H K] and the same by heads [H, K]."""
    return Transform(lambda b: (b.reshape(heads, -1),), lambda b: (b.reshape(-1),))


def merge_kernel(heads: int) -> Transform:
    """A linear weight [D, H K] and its kernel [H, K, D]."""
    return Transform(
        lambda w: (w.T.reshape(heads, -1, w.shape[0]),),
        lambda k: (k.reshape(-1, k.shape[-1]).T,),
    )


def fused(parts: int, each: Transform) -> Transform:
    """One tensor whose first axis holds `parts` equal pieces, each transformed by `each`."""

    def split(x):
        size = x.shape[0] // parts
        return tuple(each.to_vlx(x[i * size : (i + 1) * size])[0] for i in range(parts))

    def join(*pieces):
        return (concatenate([each.to_official(piece)[0] for piece in pieces]),)

    return Transform(split, join)


def computed(name: str, value: np.ndarray) -> Rule:
    """An official tensor that vlx computes instead of storing; a file's own value must agree."""

    def check(x):
        if not isinstance(x, jax.core.Tracer) and not np.allclose(x, value, atol=1e-5):
            raise UserError(f"{name} differs from the fixed table that this model computes.")
        return ()

    return Rule(name, (), Transform(check, lambda: (value,)))


def with_computed(table: Sequence[Rule], official: Flat) -> dict[str, Any]:
    """The official tensors with those that vlx computes, where a file leaves them out."""
    rules = [rule for rule in table if not rule.vlx]
    values = {rule.official_names[0]: rule.transform.to_official()[0] for rule in rules}
    return values | dict(official)
