"""Phrases and the objects they mean, for grounding."""

from vlx.data.shapes.draws import Draws
from vlx.data.shapes.scene import Scene
from vlx.data.shapes.words import ATTRIBUTES, Query, single_out

_GROUPS = 2  # phrases for several objects, at most


def write_phrases(scene: Scene, draws: Draws) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """A phrase for each object and some for several: (text, indices of all objects meant)."""
    found = {}
    for i in range(len(scene.objects)):
        query = single_out(scene, i, draws)
        found[f"the {query.say(draws)}"] = (i,)
    for query in draws.shuffle(_groups(scene))[:_GROUPS]:
        found[f"all {query.say_many(draws)}"] = tuple(query.find(scene.objects))
    return tuple(found.items())


def _groups(scene: Scene) -> list[Query]:
    """Attributes that several objects share."""
    queries = [Query(**{name: word}) for name, words in ATTRIBUTES.items() for word in words]
    return [query for query in [Query(), *queries] if query.count(scene.objects) > 1]
