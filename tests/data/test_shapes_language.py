"""The texts of the shapes world are true: read again by a grammar of their own.

The grammar knows words and sentences, and asks the objects and their pixels; it shares no code
with what writes the texts.
"""

import re
from collections import Counter

import numpy as np
import pytest

from vlx.data.shapes import ANSWERS, COLOURS, SHAPES, SIZES, TEXTURES, ShapesPairSource
from vlx.data.shapes import ShapesSource as Source
from vlx.data.shapes.maps import draw_instances
from vlx.data.shapes.render import find_patch

KINDS = {"shape": SHAPES, "colour": COLOURS, "size": SIZES, "texture": TEXTURES}
OTHER_WORDS = {
    "little": "small",
    "tiny": "small",
    "medium-sized": "medium",
    "big": "large",
    "solid": "plain",
    "stripy": "striped",
    "spotted": "dotted",
    "checkered": "checked",
    "crosses": "cross",
}
NUMBERS = ["no", "one", "two", "three", "four", "five", "six"]
NUMBERS += ["seven", "eight", "nine", "ten", "eleven", "twelve"]
RELATIONS = {
    "left of": ("x", -1),
    "to the left of": ("x", -1),
    "right of": ("x", 1),
    "to the right of": ("x", 1),
    "above": ("y", -1),
    "higher than": ("y", -1),
    "below": ("y", 1),
    "lower than": ("y", 1),
    "in front of": ("covers", 1),
    "partly covering": ("covers", 1),
    "behind": ("covers", -1),
    "partly hidden by": ("covers", -1),
}
RELATION = "|".join(sorted(RELATIONS, key=len, reverse=True))
NUMBER = "|".join(NUMBERS)
PLACE = r"at the (?:top|bottom)(?: left| right)?|on the (?:left|right)|in the centre"
OPENING = "a picture of |there is |an image with |we see "


def kind_of(word):
    (kind,) = (kind for kind, words in KINDS.items() if word in words)
    return kind


def find(words, objects):
    """The objects that a noun phrase means; its words must all be known, and in order."""
    *adjectives, noun = words.split()
    wanted = [OTHER_WORDS.get(word, word) for word in adjectives]
    noun = OTHER_WORDS.get(noun, noun)
    noun = noun if noun in (*SHAPES, "object") else noun.removesuffix("s")
    wanted += [noun] if noun != "object" else []
    kinds = [kind_of(word) for word in wanted]
    assert kinds == [kind for kind in ("size", "texture", "colour", "shape") if kind in kinds]
    return [
        o for o in objects if all(getattr(o, k) == w for k, w in zip(kinds, wanted, strict=True))
    ]


def the(words, objects):
    (only,) = find(words, objects)
    return only


def related(first, relation, second, objects):
    """Whether a relation holds; where that is not clear it must not have been said."""
    axis, sign = RELATIONS[relation]
    if axis == "covers":
        masks = [draw_instances([find_patch(o, 64)], 64) for o in (first, second)]
        assert np.logical_and(*masks).any()
        return (objects.index(first) > objects.index(second)) == (sign > 0)
    apart = getattr(first, axis) - getattr(second, axis)
    assert abs(apart) > 0.1
    return apart * sign > 0


def clear(text, objects):
    """Whether a statement about one picture is true."""
    if m := re.fullmatch(r"there is an? (.+)", text):
        return bool(find(m[1], objects))
    if m := re.fullmatch(rf"there (?:is|are) (?:exactly )?({NUMBER}) (.+)", text):
        return len(find(m[2], objects)) == NUMBERS.index(m[1])
    if m := re.fullmatch(r"there are more (.+) than (.+)", text):
        return len(find(m[1], objects)) > len(find(m[2], objects))
    if m := re.fullmatch(r"the (.+) and the (.+) have the same (\w+)", text):
        return len({getattr(the(m[n], objects), m[3]) for n in (1, 2)}) == 1
    if m := re.fullmatch(r"all (.+) are (\w+)", text):
        found = find(m[1], objects)
        assert len(found) > 1
        return all(getattr(o, kind_of(m[2])) == m[2] for o in found)
    if m := re.fullmatch(rf"the (.+) is ({RELATION}) the (.+)", text):
        return related(the(m[1], objects), m[2], the(m[3], objects), objects)
    m = re.fullmatch(r"the (.+) is (\w+)", text)
    return getattr(the(m[1], objects), kind_of(m[2])) == m[2]


def as_statement(question):
    """A question for yes or no, as the statement that it asks about."""
    text = question.removesuffix("?")
    if m := re.fullmatch(r"(is|are) there (.+)", text):
        return f"there {m[1]} {m[2]}"
    if m := re.fullmatch(rf"is (the .+?) ((?:{RELATION}) the .+)", text):
        return f"{m[1]} is {m[2]}"
    if m := re.fullmatch(r"(?:is|are) (the|all) (.+) (\w+)", text):
        return f"{m[1]} {m[2]} {'is' if m[1] == 'the' else 'are'} {m[3]}"
    return re.fullmatch(r"do (.+)", text)[1]


def answer(question, objects):
    """The answer to a question for another word than yes or no."""
    if m := re.fullmatch(r"how many (.+) are there\?|what is the number of (.+)\?", question):
        return str(len(find(m[1] or m[2], objects)))
    asked = "size" if "how large" in question else re.search("|".join(KINDS), question)[0]
    phrase = re.search(
        r"(?:is|does|of) the ((?!shape|colour|size|texture).+?)(?: have)?\?", question
    )
    if m := re.fullmatch(rf"object ({RELATION}) the (.+)", phrase[1]):
        second = the(m[2], objects)
        axis, sign = RELATIONS[m[1]]
        if axis == "covers":
            meant = [o for o in objects if o != second and overlap(o, second)]
            meant = [o for o in meant if related(o, m[1], second, objects)]
        else:
            apart = {o: sign * (getattr(o, axis) - getattr(second, axis)) for o in objects}
            meant = [o for o in objects if apart[o] > 0]
        (only,) = meant
        return getattr(only, asked)
    return getattr(the(phrase[1], objects), asked)


def overlap(one, other):
    masks = [draw_instances([find_patch(o, 64)], 64) for o in (one, other)]
    return np.logical_and(*masks).any()


def assert_place(o, words):
    for word, (value, low, high) in {
        "left": (o.x, 0, 0.4),
        "right": (o.x, 0.6, 1),
        "top": (o.y, 0, 0.4),
        "bottom": (o.y, 0.6, 1),
        "centre": (abs(o.x - 0.5) + abs(o.y - 0.5), 0, 0.2),
    }.items():
        assert word not in words or low <= value <= high


def assert_list(text, objects):
    """ "two stars, a red ring at the top and one heart"; returns the noun phrases."""
    phrases = []
    for item in re.split(r", | and ", text):
        m = re.fullmatch(rf"({NUMBER}|an?) (.+?)(?: ({PLACE}))?", item)
        found = find(m[2], objects)
        assert len(found) == NUMBERS.index(m[1]) if m[1] in NUMBERS else found, text
        if m[3]:
            assert any(assert_place(o, m[3]) is None for o in found)
        phrases.append(m[2])
    return phrases


def assert_caption(text, scene):
    """Fails unless the caption is true; returns its noun phrases if it is a list or a chain."""
    objects = scene.objects
    text = re.sub(" of the picture$", "", text)
    if m := re.search(r" on a (?:(dark|light) )?(\w+) background$", text):
        kind = {"flat": "plain", "checkered": "checked"}.get(m[2], m[2])
        assert kind == scene.background.kind
        assert (m[1] or "medium") == scene.background.tone
        text = text[: m.start()]
    if m := re.fullmatch(r"(?:(an? .+?)(?: but|, and there is)|there is) no (.+)", text):
        assert not find(m[2], objects)
        return assert_list(m[1], objects) if m[1] else []
    if m := re.fullmatch(r"(?:there are )?(more|fewer) (.+) than (.+)", text):
        one, other = (len(find(m[n], objects)) for n in (2, 3))
        assert one > other if m[1] == "more" else one < other
        return []
    if m := re.fullmatch(rf"(?:exactly|only|just|a picture with) (({NUMBER}) .+)", text):
        return assert_list(m[1], objects)
    if m := re.fullmatch(rf"(?:({NUMBER}) objects?): (.+)", text):
        assert len(objects) == NUMBERS.index(m[1])
        return assert_list(m[2], objects)
    if m := re.fullmatch(rf"the (.+) is ({PLACE})", text):
        return assert_place(the(m[1], objects), m[2]) or []
    if text.startswith("the "):
        assert clear(text, objects)
        return []
    if re.search(rf" (?:{RELATION}) an? ", text):
        return assert_chain(text, objects)
    return assert_list(re.sub(f"^(?:{OPENING})", "", text), objects)


def assert_chain(text, objects):
    """ "a star above a ring, which is left of a heart": each relation is to the one before."""
    text = text.replace(", and", " , and")
    pieces = re.split(rf"(?:, which is)? ({RELATION}|, and) an? ", f" {text}")
    phrases = [re.sub(r"^ an? ", "", piece) for piece in pieces[::2]]
    for first, link, second in zip(phrases, pieces[1::2], phrases[1:], strict=False):
        if link != ", and":
            assert related(the(first, objects), link, the(second, objects), objects)
    return phrases


@pytest.fixture(scope="module")
def records():
    fields = ("captions", "questions", "statements", "phrases", "boxes", "instances")
    source = Source("val", 64, fields=fields)
    return [(source.scene(i), source[i]) for i in range(120)]


def test_captions_are_true(records):
    for scene, record in records:
        for caption in record["captions"]:
            assert_caption(caption, scene)


def test_the_first_caption_describes_every_object_in_full(records):
    for scene, record in records:
        phrases = assert_caption(record["captions"][0], scene)
        assert len(phrases) == len(scene.objects)
        described = [the(phrase, scene.objects) for phrase in phrases]
        assert set(described) == set(scene.objects)
        for phrase, o in zip(phrases, described, strict=True):
            assert len(phrase.split()) >= (3 if o.texture == "plain" else 4)


def test_first_captions_are_nearly_unique():
    source = Source("val", 64)
    captions = [source.captions(i)[0] for i in range(400)]
    assert len(set(captions)) >= 399


def test_counts_in_texts_are_those_of_the_masks(records):
    for _, record in records:
        shown = len(set(np.unique(record["instances"]).tolist()) - {0})
        for question, said in record["questions"]:
            if re.search("how many objects|number of objects", question):
                assert int(said) == shown


def test_answers_are_right_and_from_the_closed_list(records):
    for scene, record in records:
        for question, said in record["questions"]:
            assert said in ANSWERS
            if said in ("yes", "no"):
                assert clear(as_statement(question), scene.objects) == (said == "yes"), question
            else:
                assert answer(question, scene.objects) == said, question


def test_statements_are_as_true_as_they_say(records):
    for scene, record in records:
        for text, truth in record["statements"]:
            assert clear(text, scene.objects) == truth, text


def test_phrases_mean_their_boxes(records):
    for scene, record in records:
        for text, boxes in record["phrases"]:
            article, words = text.split(" ", 1)
            found = find(words, scene.objects)
            want = record["boxes"][[scene.objects.index(o) for o in found]]
            np.testing.assert_array_equal(boxes, want)
            assert len(found) == 1 if article == "the" else len(found) > 1


def test_answers_are_balanced(records):
    answers = Counter(said for _, record in records for _, said in record["questions"])
    assert 0.4 < answers["yes"] / (answers["yes"] + answers["no"]) < 0.6
    assert set(answers) == set(ANSWERS)
    for words in (COLOURS, SHAPES, SIZES, TEXTURES):
        assert max(answers[word] for word in words) < 5 * min(answers[word] for word in words)


def test_half_of_the_statements_are_true(records):
    truths = [truth for _, record in records for _, truth in record["statements"]]
    assert 0.4 < np.mean(truths) < 0.6


def pair_clear(text, pair):
    """Whether a statement about two pictures, the tuples of their objects, is true."""
    side = dict(zip(("left", "right"), pair, strict=True))
    if m := re.fullmatch(r"both pictures show an? (.+)", text):
        return all(find(m[1], objects) for objects in pair)
    if m := re.fullmatch(r"only one of the pictures shows an? (.+)", text):
        return sum(bool(find(m[1], objects)) for objects in pair) == 1
    if m := re.fullmatch(r"there is an? (.+) in the (left|right) picture", text):
        return bool(find(m[1], side[m[2]]))
    if m := re.fullmatch(r"the (\w+) picture has more (.+) than the (\w+) picture", text):
        return len(find(m[2], side[m[1]])) > len(find(m[2], side[m[3]]))
    if m := re.fullmatch(rf"the two pictures show ({NUMBER}) (.+) in all", text):
        return sum(len(find(m[2], objects)) for objects in pair) == NUMBERS.index(m[1])
    m = re.fullmatch(
        rf"the left picture has ({NUMBER}) (.+) and the right picture has ({NUMBER}) (.+)", text
    )
    counts = [len(find(words, o)) for words, o in zip((m[2], m[4]), pair, strict=True)]
    return counts == [NUMBERS.index(m[1]), NUMBERS.index(m[3])]


def test_pair_statements_are_as_true_as_they_say():
    pairs, single = ShapesPairSource("val", 32, fields=()), Source("val", 32)
    truths = []
    for i in range(100):
        scenes = tuple(single.scene(2 * i + side).objects for side in (0, 1))
        for text, truth in pairs[i]["statements"]:
            assert pair_clear(text, scenes) == truth, text
            truths.append(truth)
    assert 0.4 < np.mean(truths) < 0.6
