"""Questions with answers from `ANSWERS`, and true or false statements, about one picture."""

from vlx.data.shapes.claims import draw_claim
from vlx.data.shapes.draws import Draws
from vlx.data.shapes.relations import OPPOSITE, WORDS, relations
from vlx.data.shapes.scene import Scene
from vlx.data.shapes.vocabulary import ANSWERS
from vlx.data.shapes.words import Query, draw_absent, draw_query, single_out

Question = tuple[str, str]

QUESTIONS = 6  # of a scene, half of them for yes or no
STATEMENTS = 4

_TRIES = 20


def write_questions(scene: Scene, draws: Draws) -> tuple[Question, ...]:
    """Different questions with their answers: three for yes or no, three for other words."""
    found: dict[str, str] = {}
    for number in range(QUESTIONS):
        _add(found, _yes_or_no if number % 2 else _open, scene, draws)
    return tuple(found.items())


def write_statements(scene: Scene, draws: Draws) -> tuple[tuple[str, bool], ...]:
    """Different statements, each true with probability 1/2."""
    found: dict[str, bool] = {}
    for _ in range(STATEMENTS):
        _add(found, _statement, scene, draws)
    return tuple(found.items())


def _add(found: dict, write, scene: Scene, draws: Draws) -> None:
    for _ in range(_TRIES):
        drawn = write(scene, draws)
        if drawn and drawn[0] not in found:
            found[drawn[0]] = drawn[1]
            return


def _statement(scene: Scene, draws: Draws) -> tuple[str, bool]:
    truth = draws.chance(0.5)
    return draw_claim(scene, truth, draws).statement, truth


def _yes_or_no(scene: Scene, draws: Draws) -> Question:
    truth = draws.chance(0.5)
    return f"{draw_claim(scene, truth, draws).question}?", ANSWERS[truth]


def _open(scene: Scene, draws: Draws) -> Question | None:
    return draws.choose((_count, _attribute, _attribute, _neighbour))(scene, draws)


def _count(scene: Scene, draws: Draws) -> Question:
    query = draw_query(scene, draws)
    if draws.chance(0.5):  # or nearly all answers were 1
        query = max(query, draw_query(scene, draws), key=lambda q: q.count(scene.objects))
    if draws.chance(0.15):
        query = draw_absent(scene, draws) or query
    elif draws.chance(0.3):
        query = Query()
    words = query.say_many(draws)
    question = draws.choose((f"how many {words} are there?", f"what is the number of {words}?"))
    return question, str(query.count(scene.objects))


def _attribute(scene: Scene, draws: Draws) -> Question | None:
    """ "what colour is the small ring?"."""
    name, i = draws.choose(tuple(_ASK)), draws.below(len(scene.objects))
    query = single_out(scene, i, draws, unsaid=name)
    if query is None:
        return None
    question = draws.choose(_ASK[name]).format(f"the {query.say(draws)}")
    return question, getattr(scene.objects[i], name)


def _neighbour(scene: Scene, draws: Draws) -> Question | None:
    """ "what shape is the object left of the star?", where only one object can be meant."""
    i = draws.below(len(scene.objects))
    others = [j for j in range(len(scene.objects)) if j != i]
    related = {j: relations(scene, j, i) for j in others}
    # Who is not clearly on the other side might be meant too.
    sole = [
        (j, name)
        for j in others
        for name in related[j]
        if all(k == j or OPPOSITE[name] in related[k] for k in others)
    ]
    if not sole:
        return None
    j, name = draws.choose(sole)
    where = f"{draws.choose(WORDS[name])} the {single_out(scene, i, draws).say(draws)}"
    asked = draws.choose(tuple(_ASK))
    question = draws.choose(_ASK[asked]).format(f"the object {where}")
    return question, getattr(scene.objects[j], asked)


_ASK = {
    "shape": ("what shape is {}?", "what is the shape of {}?"),
    "colour": ("what colour is {}?", "what is the colour of {}?"),
    "size": ("what size is {}?", "how large is {}?"),
    "texture": ("what texture does {} have?", "what is the texture of {}?"),
}
