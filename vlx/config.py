"""Configurations: from a recipe and overrides to frozen dataclasses that are right as a whole.

A recipe (`configs/<system>/<name>.py`) says what differs from the defaults; the dataclasses hold
the defaults, one home for each number. `build` and `amend` refuse what they do not know.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ml_collections import ConfigDict

from vlx.errors import UserError

T = TypeVar("T")


def build(cls: type[T], given: Mapping[str, Any], where: str = "config") -> T:
    """An instance of the dataclass `cls` from plain values, nested as its fields are.

    Raises UserError for an unknown key (names the nearest), a missing or a mistyped value.
    """
    return _make(cls, None, given, where)


def amend(instance: T, given: Mapping[str, Any], where: str = "config") -> T:
    """The instance with the given values in place of its own, at any depth."""
    return _make(type(instance), instance, given, where)


def from_preset(
    presets: Mapping[str, T],
    given: Mapping[str, Any],
    short: Mapping[str, Callable[[Any], dict[str, Any]]] = types.MappingProxyType({}),
    where: str = "config.model",
) -> T:
    """The config that `given["preset"]` names, with what differs from it.

    Without a preset `given` is a complete config.

    short: names beside the config's fields, each with a function from a value to the settings that
    it stands for. Raises UserError for a preset that is not there.
    """
    given = dict(given)
    preset = given.pop("preset", None)
    if preset is None:  # a complete config, as a run folder holds it
        return build(type(next(iter(presets.values()))), given, where)
    if preset not in presets:
        raise UserError(f"{where}.preset={preset!r} is unknown; {nearest(preset, presets)}")
    config = presets[preset]
    for name in [name for name in short if name in given]:
        config = amend(config, short[name](given.pop(name)), where)
    return amend(config, given, where)


def square(size: Any) -> dict[str, Any]:
    """The image size that one number stands for, or a pair as it is; for `from_preset`."""
    return {"image_size": (size, size) if isinstance(size, int) else size}


def to_dict(instance: Any) -> dict[str, Any]:
    """The plain values of a config, as `build` takes them and JSON holds them."""
    if dataclasses.is_dataclass(instance):
        return {f.name: to_dict(getattr(instance, f.name)) for f in dataclasses.fields(instance)}
    if isinstance(instance, Mapping):
        return {key: to_dict(value) for key, value in instance.items()}
    if isinstance(instance, tuple | list):
        return [to_dict(value) for value in instance]
    return instance.item() if hasattr(instance, "item") else instance


def plain(config: ConfigDict | Mapping) -> dict[str, Any]:
    """A recipe's ConfigDict as nested dictionaries."""
    return config.to_dict() if isinstance(config, ConfigDict) else dict(config)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested plain values by their dotted names."""
    result = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def differing_shapes(given: Mapping[str, Any], wanted: Mapping[str, Any], whose: str) -> str:
    """'path: WHOSE shape, config shape; ...', the first five that differ; empty if none does."""
    different = [
        f"{path}: {whose} {given.get(path, 'none')}, config {wanted.get(path, 'none')}"
        for path in sorted(given.keys() | wanted.keys())
        if given.get(path) != wanted.get(path)
    ]
    more = f" and {len(different) - 5} more" if len(different) > 5 else ""
    return "; ".join(different[:5]) + more


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """'; did you mean ...?' or a list of what there is, to end a message with."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}."


def _make(cls: type[T], start: T | None, given: Mapping[str, Any], where: str) -> T:
    if not isinstance(given, Mapping):
        raise UserError(f"{where}={given!r} must be a group of settings, as {where}.name=value.")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    values = {}
    for name, value in given.items():
        if name not in fields:
            raise UserError(f"{where}.{name} is unknown; {nearest(name, fields)}")
        old = getattr(start, name) if start is not None else _default(fields[name])
        values[name] = _convert(hints[name], old, value, f"{where}.{name}")
    if start is None:
        missing = [
            name for name, f in fields.items() if name not in values and _default(f) is _MISSING
        ]
        if missing:
            raise UserError(f"{where}.{missing[0]} is needed and has no default.")
    try:
        return dataclasses.replace(start, **values) if start is not None else cls(**values)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error


_MISSING = object()


def _default(field: dataclasses.Field) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return _MISSING


def _convert(hint: Any, old: Any, value: Any, where: str) -> Any:
    """`value` as the type that `hint` asks for; mistyped values raise UserError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, old, value, where)
    if dataclasses.is_dataclass(hint):
        if isinstance(value, hint):
            return value
        return _make(hint, old if isinstance(old, hint) else None, value, where)
    if origin is tuple:
        return _convert_tuple(arguments, value, where)
    if hint is Any:
        return value
    expected = origin or hint
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if expected in (dict, Mapping) or (
        isinstance(expected, type) and issubclass(expected, Mapping)
    ):
        if isinstance(value, Mapping):
            return dict(value)
    elif isinstance(value, expected) and not (expected is not bool and isinstance(value, bool)):
        return value
    raise UserError(f"{where}={value!r} must be {_describe(expected)}.")


def _convert_union(arguments: tuple, old: Any, value: Any, where: str) -> Any:
    """None if allowed; else the alternative that the old value has, or the first that fits."""
    if value is None and type(None) in arguments:
        return None
    choices = [a for a in arguments if a is not type(None)]
    choices.sort(key=lambda a: not (isinstance(a, type) and isinstance(old, a)))
    problem = None
    for choice in choices:
        try:
            return _convert(choice, old, value, where)
        except UserError as error:
            problem = problem or error
    raise problem


def _convert_tuple(arguments: tuple, value: Any, where: str) -> tuple:
    if not isinstance(value, list | tuple):
        raise UserError(f"{where}={value!r} must be a list, as (a, b).")
    if arguments and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            raise UserError(f"{where}={value!r} must have {len(arguments)} values.")
        kinds = arguments
    else:
        kinds = [arguments[0] if arguments else Any] * len(value)
    return tuple(
        _convert(kind, None, item, f"{where}[{i}]")
        for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _describe(kind: type) -> str:
    words = {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}
    return words.get(kind, f"a {getattr(kind, '__name__', kind)}")
