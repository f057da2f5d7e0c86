"""Five captions of a scene: one says everything, four say something."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from vlx.data.shapes.draws import Draws
from vlx.data.shapes.relations import WORDS, draw_relation, place, relations
from vlx.data.shapes.scene import Object, Scene
from vlx.data.shapes.words import (
    NUMBERS,
    Query,
    describe,
    draw_absent,
    draw_query,
    indefinite,
    say_list,
    single_out,
)

_GROUND = {  # how a background is called
    "plain": ("plain", "flat"),
    "shaded": ("shaded",),
    "spotlit": ("spotlit",),
    "striped": ("striped",),
    "checked": ("checked", "checkered"),
    "cloudy": ("cloudy",),
    "tiled": ("tiled",),
}
_OPENINGS = ("", "", "a picture of ", "there is ", "an image with ", "we see ")


def write_captions(scene: Scene, draws: Draws) -> tuple[str, ...]:
    """Five true captions; the first is a full description, and nearly unique."""
    captions = [_full(scene, draws)]
    for kind in draws.shuffle(_KINDS):
        caption = kind(scene, draws)
        if caption and caption not in captions:
            captions.append(caption)
        if len(captions) == 5:
            break
    while len(captions) < 5:
        captions.append(_some(scene, draws))
    return tuple(captions)


def _full(scene: Scene, draws: Draws) -> str:
    """Every object with all its attributes and its place or relation, then the background."""
    write = draws.choose(_WAYS[min(len(scene.objects), 5)])
    return f"{write(scene, draws)} on {_ground(scene, draws)}"


def _by_relation(scene: Scene, draws: Draws) -> str:
    """ "a … star above a … ring, which is left of a … heart": each relation is to the next."""
    order = draws.shuffle(range(len(scene.objects)))
    words, related = _whole(scene.objects[order[0]], scene, draws), False
    for i, j in pairwise(order):
        if found := relations(scene, i, j):
            words += f"{', which is' if related else ''} {WORDS[draws.choose(found)][0]} "
        else:
            words += ", and "
        words += _whole(scene.objects[j], scene, draws)
        related = bool(found)
    return words


def _by_place(scene: Scene, draws: Draws) -> str:
    parts = [f"{_whole(o, scene, draws)} {place(o)}".rstrip() for o in draws.shuffle(scene.objects)]
    return draws.choose(_OPENINGS) + say_list(parts)


_WAYS = {  # by number of objects; places would make captions of five longer than models read
    1: (_by_place,),
    2: (_by_relation, _by_place),
    3: (_by_relation, _by_place),
    4: (_by_relation, _by_place),
    5: (_by_relation,),
}


def _whole(o: Object, scene: Scene, draws: Draws) -> str:
    """All attributes; "plain" may stay unsaid where it tells no two objects apart."""
    query = Query(*o[:4])
    if o.texture == "plain" and draws.chance(0.5):
        brief = query._replace(texture="")
        query = brief if brief.count(scene.objects) == 1 else query
    return indefinite(query.say(draws))


def _ground(scene: Scene, draws: Draws) -> str:
    tone = "" if scene.background.tone == "medium" else scene.background.tone + " "
    return f"a {tone}{draws.choose(_GROUND[scene.background.kind])} background"


def _count_all(scene: Scene, draws: Draws) -> str:
    shapes = Counter(o.shape for o in scene.objects)
    parts = [_few(Query(shape=shape), count, draws) for shape, count in shapes.items()]
    total = Query().say_count(len(scene.objects), draws)
    if draws.chance(0.5):
        return draws.choose(_OPENINGS) + say_list(draws.shuffle(parts))
    return draws.choose((f"{total}: {say_list(parts)}", f"a picture with {total}"))


def _count_colours(scene: Scene, draws: Draws) -> str:
    colours = Counter(o.colour for o in scene.objects)
    parts = [_few(Query(colour=colour), count, draws) for colour, count in colours.items()]
    return draws.choose(_OPENINGS) + say_list(draws.shuffle(parts))


def _count_some(scene: Scene, draws: Draws) -> str:
    query = draw_query(scene, draws)
    words = query.say_count(query.count(scene.objects), draws)
    return draws.choose(("exactly ", "only ", "just ")) + words


def _some(scene: Scene, draws: Draws) -> str:
    """One or two objects, briefly."""
    chosen = draws.shuffle(scene.objects)[: 1 + draws.below(2)]
    attributes = (("colour", "shape"), ("texture", "shape"), ("size", "colour", "shape"))
    parts = [indefinite(describe(o, draws.choose(attributes)).say(draws)) for o in chosen]
    return draws.choose(_OPENINGS) + say_list(parts)


def _relate(scene: Scene, draws: Draws) -> str | None:
    drawn = draw_relation(scene, draws)
    if drawn is None:
        return None
    i, name, j = drawn
    first, second = (single_out(scene, k, draws).say(draws) for k in (i, j))
    link = draws.choose(WORDS[name])
    return draws.choose(
        (f"the {first} is {link} the {second}", f"{indefinite(first)} {link} {indefinite(second)}")
    )


def _locate(scene: Scene, draws: Draws) -> str | None:
    placed = [i for i, o in enumerate(scene.objects) if place(o)]
    if not placed:
        return None
    i = draws.choose(placed)
    where = f"{place(scene.objects[i])} of the picture"
    words = single_out(scene, i, draws).say(draws)
    return draws.choose((f"the {words} is {where}", f"{indefinite(words)} {where}"))


def _absent(scene: Scene, draws: Draws) -> str | None:
    query = draw_absent(scene, draws)
    if query is None:
        return None
    here, lacking = draw_query(scene, draws).say(draws), query.say(draws)
    if draws.chance(0.5):
        return f"{indefinite(here)} but no {lacking}"
    return draws.choose(
        (f"there is no {lacking}", f"{indefinite(here)}, and there is no {lacking}")
    )


def _textures(scene: Scene, draws: Draws) -> str:
    textures = Counter(o.texture for o in scene.objects)
    parts = [_few(Query(texture=name), count, draws) for name, count in textures.items()]
    return f"{say_list(draws.shuffle(parts))} on {_ground(scene, draws)}"


def _compare(scene: Scene, draws: Draws) -> str | None:
    shapes = Counter(o.shape for o in scene.objects).most_common()
    if len(shapes) < 2 or shapes[0][1] == shapes[1][1]:
        return None
    more, fewer = (Query(shape=shape).say_many(draws) for shape, _ in (shapes[0], shapes[-1]))
    return draws.choose((f"more {more} than {fewer}", f"there are fewer {fewer} than {more}"))


def _few(query: Query, count: int, draws: Draws) -> str:
    if count == 1:
        return indefinite(query.say(draws))
    return f"{NUMBERS[count]} {query.say_many(draws)}"


_KINDS: tuple[Callable[[Scene, Draws], str | None], ...] = (
    _count_all,
    _count_colours,
    _count_some,
    _some,
    _relate,
    _relate,
    _locate,
    _absent,
    _textures,
    _compare,
)
