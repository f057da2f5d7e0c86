"""Sentences about one picture that are true or false, as statement and as question.

Whether a sentence shall be true is decided first, and false ones are near misses, so that words
alone tell little about the truth.
"""

from collections.abc import Callable
from typing import NamedTuple

from vlx.data.shapes.draws import Draws
from vlx.data.shapes.relations import OPPOSITE, WORDS, draw_relation
from vlx.data.shapes.scene import Scene
from vlx.data.shapes.words import (
    ATTRIBUTES,
    Query,
    draw_absent,
    draw_query,
    indefinite,
    single_out,
)


class Claim(NamedTuple):
    """One sentence in its two forms, both without punctuation."""

    statement: str
    question: str


def draw_claim(scene: Scene, truth: bool, draws: Draws) -> Claim:
    """A claim about the scene that is true or false as wanted."""
    for kind in draws.shuffle(KINDS):
        claim = kind(scene, truth, draws)
        if claim:
            return claim
    raise AssertionError("a scene's number of objects can always be claimed")


def _exists(scene: Scene, truth: bool, draws: Draws) -> Claim | None:
    query = draw_query(scene, draws) if truth else draw_absent(scene, draws)
    if query is None:
        return None
    words = indefinite(query.say(draws))
    return Claim(f"there is {words}", f"is there {words}")


def _is(scene: Scene, truth: bool, draws: Draws) -> Claim | None:
    """An object has an attribute: "the small ring is red"."""
    name = draws.choose(("colour", "size", "texture"))
    i = draws.below(len(scene.objects))
    query = single_out(scene, i, draws, unsaid=name)
    if query is None:
        return None
    word = getattr(scene.objects[i], name)
    if not truth:
        word = draws.choose([w for w in ATTRIBUTES[name] if w != word])
    if not query._replace(**{name: word}).sayable(scene):
        return None
    subject = f"the {query.say(draws)}"
    return Claim(f"{subject} is {word}", f"is {subject} {word}")


def _relates(scene: Scene, truth: bool, draws: Draws) -> Claim | None:
    drawn = draw_relation(scene, draws)
    if drawn is None:
        return None
    i, name, j = drawn
    first, second = (f"the {single_out(scene, k, draws).say(draws)}" for k in (i, j))
    link = draws.choose(WORDS[name if truth else OPPOSITE[name]])
    return Claim(f"{first} is {link} {second}", f"is {first} {link} {second}")


def _counts(scene: Scene, truth: bool, draws: Draws) -> Claim:
    """ "there are exactly two red objects"."""
    query = draws.choose((Query(), draw_query(scene, draws)))
    count = query.count(scene.objects)
    if not truth:
        count += 1 if count == 1 or (count < 6 and draws.chance(0.5)) else -1
    words = query.say_count(count, draws)
    verb = "is" if count == 1 else "are"
    return Claim(f"there {verb} exactly {words}", f"{verb} there exactly {words}")


def _compares(scene: Scene, truth: bool, draws: Draws) -> Claim | None:
    """ "there are more stars than rings"."""
    name = draws.choose(tuple(ATTRIBUTES))
    queries = [Query(**{name: word}) for word in ATTRIBUTES[name]]
    counted = [(query.count(scene.objects), query) for query in queries]
    present = [pair for pair in counted if pair[0]]
    many, more = draws.choose(present)
    few, fewer = draws.choose([pair for pair in present if pair[1] != more] or [(many, more)])
    if many == few:
        return None
    if (many > few) != truth:
        more, fewer = fewer, more
    words = f"more {more.say_many(draws)} than {fewer.say_many(draws)}"
    return Claim(f"there are {words}", f"are there {words}")


def _same(scene: Scene, truth: bool, draws: Draws) -> Claim | None:
    """ "the star and the small ring have the same colour"."""
    name = draws.choose(tuple(ATTRIBUTES))
    objects = scene.objects
    pairs = [
        (i, j)
        for i in range(len(objects))
        for j in range(len(objects))
        if i != j and (getattr(objects[i], name) == getattr(objects[j], name)) == truth
    ]
    if not pairs:
        return None
    queries = [single_out(scene, i, draws, unsaid=name) for i in draws.choose(pairs)]
    if None in queries:
        return None
    subjects = " and ".join(f"the {query.say(draws)}" for query in queries)
    return Claim(f"{subjects} have the same {name}", f"do {subjects} have the same {name}")


def _all(scene: Scene, truth: bool, draws: Draws) -> Claim | None:
    """ "all stars are red", where there are several stars."""
    kind, name = draws.shuffle(("shape", "colour", "texture", "size"))[:2]
    if name == "shape":
        kind, name = name, kind
    found = []
    for word in ATTRIBUTES[kind]:
        query = Query(**{kind: word})
        values = {getattr(scene.objects[i], name) for i in query.find(scene.objects)}
        if query.count(scene.objects) > 1 and (len(values) == 1) == truth:
            found.append((query, sorted(values)))
    if not found:
        return None
    query, values = draws.choose(found)
    subject, value = query.say_many(draws), draws.choose(values)
    return Claim(f"all {subject} are {value}", f"are all {subject} {value}")


KINDS: tuple[Callable[[Scene, bool, Draws], Claim | None], ...] = (
    _exists,
    _is,
    _relates,
    _counts,
    _compares,
    _same,
    _all,
)
