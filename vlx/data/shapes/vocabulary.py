"""The words of the world: what an object can be, and what a question can be answered with."""

SHAPES = ("circle", "square", "triangle", "star", "cross", "heart", "ring", "crescent")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SIZES = ("small", "medium", "large")
TEXTURES = ("plain", "striped", "dotted", "checked")

COUNTS = tuple(str(n) for n in range(7))
YES_OR_NO = ("no", "yes")
ANSWERS = (*YES_OR_NO, *COUNTS, *COLOURS, *SHAPES, *SIZES, *TEXTURES)

CLASS_NAMES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)

# Each colour and each shape once, so that "unseen" asks for a new pair of two known words.
HELD_OUT = (
    "red square",
    "orange cross",
    "yellow crescent",
    "green triangle",
    "cyan heart",
    "blue circle",
    "purple star",
    "pink ring",
)

# The number of a split is part of its scenes' seed: append, never reorder.
SPLITS = {"train": 10_000_000, "val": 10_000, "test": 10_000, "unseen": 10_000}
