"""Where objects are: claimed only where nobody would doubt it."""

from vlx.data.shapes.draws import Draws
from vlx.data.shapes.scene import Object, Scene

MARGIN = 0.12  # picture widths between two centres, at least

WORDS = {  # the shorter way to say it comes first
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "above": ("above", "higher than"),
    "below": ("below", "lower than"),
    "front": ("in front of", "partly covering"),
    "behind": ("behind", "partly hidden by"),
}

OPPOSITE = {
    "left": "right",
    "right": "left",
    "above": "below",
    "below": "above",
    "front": "behind",
    "behind": "front",
}


def relations(scene: Scene, i: int, j: int) -> list[str]:
    """The names of all relations that object i clearly has to object j."""
    dx = scene.objects[i].x - scene.objects[j].x
    dy = scene.objects[i].y - scene.objects[j].y
    found = []
    if abs(dx) > max(MARGIN, 0.6 * abs(dy)):
        found.append("left" if dx < 0 else "right")
    if abs(dy) > max(MARGIN, 0.6 * abs(dx)):
        found.append("above" if dy < 0 else "below")
    if (i, j) in scene.covers:
        found.append("front")
    if (j, i) in scene.covers:
        found.append("behind")
    return found


def draw_relation(scene: Scene, draws: Draws) -> tuple[int, str, int] | None:
    """Two objects, the first with the named relation to the second; overlaps more often."""
    pairs = [(i, j) for i in range(len(scene.objects)) for j in range(i)]
    covering = [pair for pair in pairs if pair in scene.covers]
    if covering and draws.chance(0.4):
        i, j = draws.choose(covering)
        return (i, "front", j) if draws.chance(0.5) else (j, "behind", i)
    for i, j in draws.shuffle(pairs):
        if draws.chance(0.5):
            i, j = j, i
        if found := relations(scene, i, j):
            return i, draws.choose(found), j
    return None


def place(o: Object) -> str:
    """Where in the picture: "at the top left", "in the centre", …; empty if in between."""
    across, down = _third(o.x, "left", "right"), _third(o.y, "top", "bottom")
    if not across or not down:
        return ""
    if across == down:
        return "in the centre"
    if across == "centre":
        return f"at the {down}"
    return f"on the {across}" if down == "centre" else f"at the {down} {across}"


def _third(x: float, low: str, high: str) -> str:
    if x < 0.36:
        return low
    if x > 0.64:
        return high
    return "centre" if 0.42 < x < 0.58 else ""
