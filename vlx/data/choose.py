"""Looking a name up in a plain dictionary, with an error that helps."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from vlx.errors import UserError

T = TypeVar("T")


def choose(table: Mapping[str, T], name: str, key: str) -> T:
    """The entry `name` of `table`; `key` is the configuration key that the user set."""
    check(name, table, key)
    return table[name]


def check(name: str, names: Iterable[str], key: str) -> None:
    """Raises unless `name` is one of `names`."""
    names = list(names)
    if name in names:
        return
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UserError(f"{key}={name!r} is unknown; {hint}It can be: {', '.join(names)}.")
