"""Noun phrases: which objects they mean, and how they are said."""

from collections.abc import Iterable
from typing import NamedTuple

from vlx.data.shapes.draws import Draws
from vlx.data.shapes.scene import Object, Scene
from vlx.data.shapes.vocabulary import COLOURS, HELD_OUT, SHAPES, SIZES, TEXTURES

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")  # of one picture, and then of two
NUMBERS += ("seven", "eight", "nine", "ten", "eleven", "twelve")

_WORDS = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium", "medium-sized"),
    "large": ("large", "big"),
    "plain": ("plain", "solid"),
    "striped": ("striped", "stripy"),
    "dotted": ("dotted", "spotted"),
    "checked": ("checked", "checkered"),
}

ATTRIBUTES = {"shape": SHAPES, "colour": COLOURS, "size": SIZES, "texture": TEXTURES}

# Which attributes may single an object out, the shortest descriptions first.
_DESCRIPTIONS = (
    (("shape",), ("colour", "shape")),
    (("colour",), ("size", "shape"), ("texture", "shape"), ("texture", "colour")),
    (("size", "colour"), ("size", "texture"), ("texture", "colour", "shape")),
    (("size", "colour", "shape"), ("size", "texture", "shape"), ("size", "texture", "colour")),
    (("size", "texture", "colour", "shape"),),
)


class Query(NamedTuple):
    """What is said of an object: its shape, colour, size and texture; empty means not said."""

    shape: str = ""
    colour: str = ""
    size: str = ""
    texture: str = ""

    def matches(self, o: Object) -> bool:
        return (
            self.shape in ("", o.shape)
            and self.colour in ("", o.colour)
            and self.size in ("", o.size)
            and self.texture in ("", o.texture)
        )

    def find(self, objects: Iterable[Object]) -> list[int]:
        """The indices of the objects that match."""
        return [i for i, o in enumerate(objects) if self.matches(o)]

    def count(self, objects: Iterable[Object]) -> int:
        return len(self.find(objects))

    def sayable(self, scene: Scene) -> bool:
        """Whether a text about the scene may say it: held-out pairs stay unsaid elsewhere."""
        return scene.held_out or f"{self.colour} {self.shape}" not in HELD_OUT

    def say(self, draws: Draws) -> str:
        """Without article: "large striped red circle"; "object" where the shape is not said."""
        words = [draws.choose(_WORDS[word]) for word in (self.size, self.texture) if word]
        if self.colour:
            words.append(self.colour)
        words.append(self.shape or "object")
        return " ".join(words)

    def say_many(self, draws: Draws) -> str:
        """In the plural: "large crosses"."""
        words = self.say(draws)
        return words + ("es" if words.endswith("s") else "s")

    def say_count(self, count: int, draws: Draws) -> str:
        """ "three red stars", "one red star", "no red stars"."""
        words = self.say(draws) if count == 1 else self.say_many(draws)
        return f"{NUMBERS[count]} {words}"


def indefinite(words: str) -> str:
    """With the indefinite article."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def say_list(parts: list[str]) -> str:
    """ "x", "x and y", "x, y and z"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def describe(o: Object, attributes: Iterable[str]) -> Query:
    """What the object is like in these attributes."""
    return Query(**{name: getattr(o, name) for name in attributes})


def single_out(scene: Scene, index: int, draws: Draws, unsaid: str = "") -> Query | None:
    """A short query that only this object matches; `unsaid` is an attribute that it leaves out."""
    o = scene.objects[index]
    for descriptions in _DESCRIPTIONS:
        for attributes in draws.shuffle(descriptions):
            if unsaid not in attributes:
                query = describe(o, attributes)
                if query.count(scene.objects) == 1:
                    return query
    return None


def draw_query(scene: Scene, draws: Draws) -> Query:
    """What one object of the scene is like in one or two attributes."""
    attributes = draws.choose(_SHORT)
    return describe(draws.choose(scene.objects), attributes)


def draw_absent(scene: Scene, draws: Draws) -> Query | None:
    """A query close to an object of the scene that no object matches, and that may be said."""
    for _ in range(8):
        query = draw_query(scene, draws)
        name = draws.choose([name for name, word in zip(query._fields, query, strict=True) if word])
        query = query._replace(**{name: draws.choose(ATTRIBUTES[name])})
        if query.sayable(scene) and not query.count(scene.objects):
            return query
    return None


_SHORT = (
    ("shape",),
    ("shape",),
    ("colour",),
    ("texture",),
    ("colour", "shape"),
    ("colour", "shape"),
    ("texture", "shape"),
    ("size", "shape"),
    ("size", "colour"),
    ("texture", "colour"),
)
