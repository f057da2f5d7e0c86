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
    while True:
        claim = draws.choose(_KINDS)(scene, truth, draws)
        if claim:
            return claim


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


def _counts(scene: Scene, truth: bool, draws: Draws) -> Claim | None:
    """ "there are exactly two red objects": a number that fits one of two queries, said of one.

    Which of the two is drawn first is chance, so numbers are as frequent where they are wrong.
    """
    queries = [draws.choose(_COUNTED)(scene, draws) for _ in range(2)]
    if None in queries:
        return None
    count, other = (query.count(scene.objects) for query in queries)
    if count == other:
        return None
    words = queries[0 if truth else 1].say_count(count, draws)
    verb, exactly = "is" if count == 1 else "are", "exactly " if count else ""
    return Claim(f"there {verb} {exactly}{words}", f"{verb} there {exactly}{words}")


_COUNTED = (draw_query, draw_query, draw_query, draw_absent, lambda scene, draws: Query())


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
    """ "all stars are red", where all of several stars have one colour: that or another."""
    kind, name = draws.shuffle(tuple(ATTRIBUTES))[:2]
    if name == "shape":
        kind, name = name, kind
    found = []
    for word in ATTRIBUTES[kind]:
        query = Query(**{kind: word})
        values = [getattr(scene.objects[i], name) for i in query.find(scene.objects)]
        if len(values) > 1 and len(set(values)) == 1:
            found.append((query, values[0]))
    if not found:
        return None
    query, value = draws.choose(found)
    if not truth:
        value = draws.choose([word for word in ATTRIBUTES[name] if word != value])
    if not query._replace(**{name: value}).sayable(scene):
        return None
    subject = query.say_many(draws)
    return Claim(f"all {subject} are {value}", f"are all {subject} {value}")


_KINDS: tuple[Callable[[Scene, bool, Draws], Claim | None], ...] = (
    _exists,
    _is,
    _relates,
    _counts,
    _compares,
    _same,
    _all,
)
