"""Examples that evaluators keep to be looked at: RUN/evaluations/KIND-NAME.json, and pictures.

NAME is the split, or what results of other data than the run's are kept as. The step that they are
of stands in RUN/evaluations/steps.json, for some of the files are as servers of benchmarks read
them.
The pictures of a kind have a folder of its own, so that they are always those of its examples.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from vlx.data import Source
from vlx.evaluate.context import PICTURES, Context

SHOWN = 24  # examples of a kind, at most
SIDE = 224  # pixels of a kept picture, at most
QUALITY = 80  # of its JPEG
STEPS = "steps.json"  # {"KIND-NAME": step}


def examples_file(workdir: Path, kind: str, name: str) -> Path:
    """Where the newest examples of a kind are kept."""
    return workdir / "evaluations" / f"{kind}-{name}.json"


def picture_file(workdir: Path, kind: str, name: str, index: int) -> Path:
    """Where the picture of an example is kept."""
    return examples_file(workdir, kind, name).with_suffix("") / f"{index}.jpg"


def kept_steps(workdir: Path) -> dict[str, int]:
    """The steps that kept examples are of, where that is known, by KIND-NAME."""
    path = workdir / "evaluations" / STEPS
    return json.loads(path.read_text()) if path.is_file() else {}


def spread(count: int, most: int = SHOWN) -> list[int]:
    """At most so many of the numbers below `count`, evenly spread."""
    return [n * count // min(most, count) for n in range(min(most, count))]


def keep_examples(context: Context, kind: str, content: Any) -> None:
    """Writes them as JSON in place of older ones; of several processes the first does."""
    if jax.process_index() == 0:
        file = examples_file(context.setup.workdir, kind, context.kept_as)
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content, indent=1) + "\n")
        steps = kept_steps(context.setup.workdir) | {file.stem: context.moment.step}
        known = {stem: step for stem, step in steps.items() if step is not None}
        file.with_name(STEPS).write_text(json.dumps(known, indent=1) + "\n")


def keep_pictures(context: Context, kind: str, source: Source, indices: Iterable[int]) -> None:
    """Writes the pictures of these examples, as the model sees them, in place of older ones.

    Of an example of two pictures both, side by side.
    """
    names = [name for name in PICTURES if name in context.setup.task.fields]
    transform = context.asked(*names)
    examples = {index: transform(source[index]) for index in sorted(set(indices))}
    sides = {n: [example[name] for name in names] for n, example in examples.items()}
    keep_made_pictures(context, kind, {n: np.concatenate(x, axis=1) for n, x in sides.items()})


def keep_made_pictures(context: Context, kind: str, pictures: Mapping[int, np.ndarray]) -> None:
    """Writes pictures uint8 [height, any, 3] by the number of their example, for older ones."""
    if jax.process_index() != 0:
        return
    workdir, name = context.setup.workdir, context.kept_as
    folder = examples_file(workdir, kind, name).with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for index, pixels in pictures.items():
        picture = Image.fromarray(pixels)
        picture.thumbnail((round(SIDE * picture.width / picture.height), SIDE))
        picture.save(picture_file(workdir, kind, name, index), quality=QUALITY)
