"""Examples that evaluators keep to be looked at: RUN/evaluations/KIND-SPLIT.json, and pictures."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
from PIL import Image

from vlx.data import Source
from vlx.evaluate.context import Context

SHOWN = 24  # examples of a kind, at most
SIDE = 224  # pixels of a kept picture, at most
QUALITY = 80  # of its JPEG


def examples_file(workdir: Path, kind: str, split: str) -> Path:
    """Where the newest examples of a kind are kept."""
    return workdir / "evaluations" / f"{kind}-{split}.json"


def picture_file(workdir: Path, split: str, index: int) -> Path:
    """Where the picture of an example is kept."""
    return workdir / "evaluations" / f"pictures-{split}" / f"{index}.jpg"


def spread(count: int, most: int = SHOWN) -> list[int]:
    """At most so many of the numbers below `count`, evenly spread."""
    return [n * count // min(most, count) for n in range(min(most, count))]


def keep_examples(context: Context, kind: str, content: Any) -> None:
    """Writes them as JSON in place of older ones; of several processes the first does."""
    if jax.process_index() == 0:
        file = examples_file(context.setup.workdir, kind, context.split)
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content, indent=1) + "\n")


def keep_pictures(context: Context, source: Source, indices: Iterable[int]) -> None:
    """Writes pictures of these examples, as the model sees them, that are not there yet."""
    if jax.process_index() != 0:
        return
    for index in sorted(set(indices)):
        file = picture_file(context.setup.workdir, context.split, index)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(context.setup.transforms[1](source[index])["image"])
            picture.thumbnail((SIDE, SIDE))
            picture.save(file, quality=QUALITY)
