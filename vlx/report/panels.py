"""Examples that evaluators kept, as the page shows them: pictures, texts, what was read."""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vlx.evaluate.examples import QUALITY, picture_file, spread
from vlx.report.runs import Run

FINE = 8  # pixels of a patch in the veil over a picture
DARKEST = 0.8  # of the veil, where nothing is read
SIDE_BY_SIDE = (
    "statements",
    "masked_patches",
)  # kinds of examples that may have several pictures, in one file


@dataclass(frozen=True)
class Panel:
    """Examples of a split; of one run, or where they are compared of all."""

    split: str
    run: int  # its number
    examples: Any
    when: str = ""  # "step 30", of several runs "steps 30 and 40"; empty where it is not known


def gallery(runs: Sequence[Run]) -> list[Panel]:
    """For each split: pictures with references and what every run wrote about them."""
    return _together(runs, "captions")


def answers(runs: Sequence[Run]) -> list[Panel]:
    """For each split: questions with what every run answered, and how often people said what."""
    return _together(runs, "answers", lambda example: {"said": _counted(example["expected"])})


def statements(runs: Sequence[Run]) -> list[Panel]:
    """For each split: statements with their pictures and what every run took for the truth."""
    return _together(runs, "statements", lambda example: {"truth": example["expected"][0]})


def completions(runs: Sequence[Run]) -> list[Panel]:
    """For each run and split: images, what the model saw of them, and how it completes them."""
    return [
        Panel(
            split,
            n,
            [x | {"pictures": _pictures([run], "masked_patches", split, x["index"])} for x in kept],
            _when([run], "masked_patches", split),
        )
        for n, run in enumerate(runs)
        for split, kept in run.examples("masked_patches").items()
    ]


def _together(
    runs: Sequence[Run], kind: str, more: Callable[[Mapping], dict] = lambda example: {}
) -> list[Panel]:
    """What runs kept of a kind, those of the same example side by side as `written`."""
    found = [run.examples(kind) for run in runs]
    splits = dict.fromkeys(split for kept in found for split in kept)
    return [
        Panel(split, 0, list(_compared(runs, kind, found, split, more)), _when(runs, kind, split))
        for split in splits
    ]


def _when(runs: Sequence[Run], kind: str, split: str) -> str:
    """The steps that the examples of these runs are of, each once; nothing if one is not known."""
    found = [run.step_of(kind, split) for run in runs if split in run.examples(kind)]
    if None in found:
        return ""
    steps = list(dict.fromkeys(f"{step:,}" for step in found))
    return f"step{'s' if len(steps) > 1 else ''} {' and '.join(steps)}"


def _compared(runs, kind: str, found: Sequence[Mapping], split: str, more) -> Iterator[dict]:
    written = [{x["index"]: x for x in kept.get(split, ())} for kept in found]
    most = next((own for own in written if own), {})
    indices = list(most)
    for index in (indices[n] for n in spread(len(indices))):
        yield most[index] | {
            "pictures": _pictures(runs, kind, split, index),
            "written": [(n, own[index]) for n, own in enumerate(written) if index in own],
            **more(most[index]),
        }


def _counted(expected: Sequence[str]) -> str:
    """Answers of people, the most frequent first, with their numbers where there are several."""
    counts = Counter(expected).most_common()
    return ", ".join(answer if n == 1 else f"{answer} ({n})" for answer, n in counts)


def attention(runs: Sequence[Run]) -> list[Panel]:
    """Words of captions, each with the picture as far as it was read."""
    return [
        Panel(
            split,
            number,
            [_read(runs[number], split, x) for x in _some(readings, runs) if x["words"]],
            _when([runs[number]], "attention", split),
        )
        for number, split, readings in _each(runs, "attention")
    ]


def _read(run: Run, split: str, reading: Mapping) -> dict:
    veils = [_veil(np.asarray(shares)) for shares in reading["shares"]]
    return {
        "index": reading["index"],
        "picture": _picture([run], "attention", split, reading["index"]),
        "text": " ".join(reading["words"]),
        "words": list(zip(reading["words"], veils, strict=True)),
    }


def _veil(shares: np.ndarray) -> str:
    """A dark layer that is clear where most is read: shares [rows, columns] -> data URI."""
    low, high = shares.min(), shares.max()
    dark = DARKEST * (1 - (shares - low) / (high - low)) if high > low else np.zeros_like(shares)
    grey = Image.fromarray((255 * dark).astype(np.uint8))
    size = FINE * shares.shape[1], FINE * shares.shape[0]
    veil = Image.new("LA", size)
    veil.putalpha(grey.resize(size, Image.Resampling.BILINEAR))
    file = BytesIO()
    veil.save(file, "PNG", optimize=True)
    return _data("png", file.getvalue())


def failures(runs: Sequence[Run]) -> list[Panel]:
    """The examples whose reference a run finds least likely, with what it wrote instead."""
    panels = []
    for number, split, worst in _each(runs, "likelihood"):
        run = runs[number]
        written = {c["index"]: c["text"] for c in run.examples("captions").get(split, ())}
        rows = [
            example
            | {
                "picture": _picture([run], "likelihood", split, example["index"]),
                "written": written.get(example["index"], ""),
            }
            for example in _some(worst, runs)
        ]
        panels.append(Panel(split, number, rows, _when([run], "likelihood", split)))
    return panels


def retrieval(runs: Sequence[Run]) -> list[Panel]:
    """Queries both ways, each with what it found first."""
    panels = []
    for number, split, kept in _each(runs, "retrieval"):

        def shown(example: Mapping, run=runs[number], split=split) -> dict:
            return example | {"picture": _picture([run], "retrieval", split, example["index"])}

        examples = {
            "by_image": [shown(query) for query in _some(kept["image_to_text"], runs)],
            "by_text": [
                query | {"found": [shown(image) for image in query["found"]]}
                for query in _some(kept["text_to_image"], runs)
            ],
        }
        panels.append(Panel(split, number, examples, _when([runs[number]], "retrieval", split)))
    return panels


def _each(runs: Sequence[Run], kind: str) -> Iterator[tuple[int, str, Any]]:
    """Number of the run, split, what evaluators kept."""
    for number, run in enumerate(runs):
        for split, content in run.examples(kind).items():
            yield number, split, content


def _some(examples: Sequence, runs: Sequence[Run]) -> Sequence:
    """Of several runs fewer of each, so that the page stays small."""
    return examples[: max(1, len(examples) // len(runs))]


def _picture(runs: Sequence[Run], kind: str, split: str, index: int) -> str:
    """A data URI, from the first run that kept the picture; none if none did."""
    return "".join(_pictures(runs, kind, split, index))


def _pictures(runs: Sequence[Run], kind: str, split: str, index: int) -> list[str]:
    """As `_picture`, of every picture of the example."""
    for run in runs:
        file = picture_file(run.folder, kind, split, index)
        if file.is_file():
            return _apart(run, file) if kind in SIDE_BY_SIDE else [_data("jpeg", file.read_bytes())]
    return [""]


def _apart(run: Run, file: Path) -> list[str]:
    """The pictures that a file holds side by side, each of the shape that the model sees."""
    height, width = np.broadcast_to(run.config.get("model", {}).get("image_size", 1), 2)
    with Image.open(file) as whole:
        count = max(1, round(whole.width / whole.height * height / width))
        ends = [whole.width * n // count for n in range(count + 1)]
        cut = [whole.crop((left, 0, right, whole.height)) for left, right in pairwise(ends)]
    return [_jpeg(picture) for picture in cut]


def _jpeg(picture: Image.Image) -> str:
    file = BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return _data("jpeg", file.getvalue())


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
