"""True or false statements about two pictures, side by side."""

from collections.abc import Callable

from vlx.data.shapes.draws import Draws
from vlx.data.shapes.scene import Scene
from vlx.data.shapes.words import ATTRIBUTES, Query, describe, draw_query, indefinite

STATEMENTS = 4

Scenes = tuple[Scene, Scene]  # left and right

_SIDES = ("left", "right")


def write_pair_statements(scenes: Scenes, draws: Draws) -> tuple[tuple[str, bool], ...]:
    """Different statements about the pair, each true with probability 1/2."""
    found: dict[str, bool] = {}
    while len(found) < STATEMENTS:
        truth = draws.chance(0.5)
        if text := draws.choose(_KINDS)(scenes, truth, draws):
            found.setdefault(text, truth)
    return tuple(found.items())


def _both_or_one(scenes: Scenes, truth: bool, draws: Draws) -> str | None:
    """One attribute alone, and whether both shall show it is decided first: most are in one."""
    shared = draws.chance(0.5)
    for _ in range(8):
        o = draws.choose(draws.choose(scenes).objects)
        query = describe(o, [draws.choose(tuple(ATTRIBUTES))])
        if all(query.count(scene.objects) for scene in scenes) == shared:
            words = indefinite(query.say(draws))
            if shared == truth:
                return f"both pictures show {words}"
            return f"only one of the pictures shows {words}"
    return None


def _side(scenes: Scenes, truth: bool, draws: Draws) -> str | None:
    """ "there is a red star in the left picture", of a star in one of them."""
    query, counts = _draw(scenes, draws)
    if all(counts):
        return None
    side = _SIDES[bool(counts[1]) == truth]
    return f"there is {indefinite(query.say(draws))} in the {side} picture"


def _more(scenes: Scenes, truth: bool, draws: Draws) -> str | None:
    query, (left, right) = _draw(scenes, draws)
    if left == right:
        return None
    first, second = _SIDES if (left > right) == truth else _SIDES[::-1]
    return f"the {first} picture has more {query.say_many(draws)} than the {second} picture"


def _total(scenes: Scenes, truth: bool, draws: Draws) -> str | None:
    """A number that fits one of two queries, said of one of them, as in `claims`."""
    (query, counts), (other, others) = _draw(scenes, draws), _draw(scenes, draws)
    if sum(counts) == sum(others):
        return None
    words = (query if truth else other).say_count(sum(counts), draws)
    return f"the two pictures show {words} in all"


def _each(scenes: Scenes, truth: bool, draws: Draws) -> str | None:
    """ "the left picture has two stars and the right picture has no stars"."""
    query, counts = _draw(scenes, draws)
    if counts[0] == counts[1]:
        return None
    left, right = (query.say_count(count, draws) for count in counts[:: 1 if truth else -1])
    return f"the left picture has {left} and the right picture has {right}"


def _draw(scenes: Scenes, draws: Draws) -> tuple[Query, tuple[int, int]]:
    """A query that an object of one of the pictures matches, and how many do in each."""
    query = draw_query(draws.choose(scenes), draws)
    left, right = (query.count(scene.objects) for scene in scenes)
    return query, (left, right)


_KINDS: tuple[Callable[[Scenes, bool, Draws], str | None], ...] = (
    _both_or_one,
    _both_or_one,
    _side,
    _more,
    _total,
    _each,
)
