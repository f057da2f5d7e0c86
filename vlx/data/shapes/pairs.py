"""True or false statements about two pictures, side by side."""

from collections.abc import Callable

from vlx.data.shapes.draws import Draws
from vlx.data.shapes.scene import Scene
from vlx.data.shapes.words import Query, draw_query, indefinite

STATEMENTS = 4

Kind = Callable[[Query, int, int, bool, Draws], str | None]

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS += ("eleven", "twelve")


def write_pair_statements(left: Scene, right: Scene, draws: Draws) -> tuple[tuple[str, bool], ...]:
    """Different statements about the pair, each true with probability 1/2."""
    found: dict[str, bool] = {}
    while len(found) < STATEMENTS:
        truth = draws.chance(0.5)
        found.setdefault(_statement(left, right, truth, draws), truth)
    return tuple(found.items())


def _statement(left: Scene, right: Scene, truth: bool, draws: Draws) -> str:
    """What is said fits the wanted truth; what it is said of does not depend on it."""
    while True:
        query = draw_query(draws.choose((left, right)), draws)
        counts = query.count(left.objects), query.count(right.objects)
        text = draws.choose(_KINDS)(query, *counts, truth, draws)
        if text:
            return text


def _both(query: Query, left: int, right: int, truth: bool, draws: Draws) -> str | None:
    if bool(left and right) != truth:
        return None
    return f"both pictures show {indefinite(query.say(draws))}"


def _one(query: Query, left: int, right: int, truth: bool, draws: Draws) -> str | None:
    if bool(left and right) == truth:
        return None
    return f"only one of the pictures shows {indefinite(query.say(draws))}"


def _side(query: Query, left: int, right: int, truth: bool, draws: Draws) -> str:
    """ "there is a red star in the left picture": in one of them there is."""
    here = draws.choose([n for n, count in enumerate((left, right)) if bool(count) == truth] or [2])
    return (
        ""
        if here == 2
        else f"there is {indefinite(query.say(draws))} in the {_SIDES[here]} picture"
    )


def _more(query: Query, left: int, right: int, truth: bool, draws: Draws) -> str | None:
    if left == right:
        return None
    more = 0 if (left > right) == truth else 1
    first, second = _SIDES[more], _SIDES[1 - more]
    return f"the {first} picture has more {query.say_many(draws)} than the {second} picture"


def _total(query: Query, left: int, right: int, truth: bool, draws: Draws) -> str:
    total = left + right
    if not truth:
        total += 1 if total < 2 or (total < 12 and draws.chance(0.5)) else -1
    words = query.say(draws) if total == 1 else query.say_many(draws)
    return f"the two pictures show {_NUMBERS[total]} {words} in all"


def _each(query: Query, left: int, right: int, truth: bool, draws: Draws) -> str | None:
    """ "the left picture has two stars and the right picture has no stars"."""
    if left == right:
        return None
    if not truth:
        left, right = right, left
    first, second = query.say_count(left, draws), query.say_count(right, draws)
    return f"the left picture has {first} and the right picture has {second}"


_SIDES = ("left", "right")
_KINDS: tuple[Kind, ...] = (_both, _one, _side, _more, _total, _each)
