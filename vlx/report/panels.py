"""Examples that evaluators kept, as the page shows them: pictures, texts, what was read."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from vlx.evaluate.examples import picture_file, spread
from vlx.report.runs import Run

FINE = 8  # pixels of a patch in the veil over a picture
DARKEST = 0.8  # of the veil, where nothing is read


@dataclass(frozen=True)
class Panel:
    """Examples of a split; of one run, or where they are compared of all."""

    split: str
    run: int  # its number
    examples: Any


def gallery(runs: Sequence[Run]) -> list[Panel]:
    """For each split: pictures with references and what every run wrote about them."""
    found = [run.examples("captions") for run in runs]
    splits = dict.fromkeys(split for captions in found for split in captions)
    return [Panel(split, 0, list(_captioned(runs, found, split))) for split in splits]


def _captioned(runs: Sequence[Run], found: Sequence[Mapping], split: str) -> Iterator[dict]:
    written = [{c["index"]: c for c in captions.get(split, ())} for captions in found]
    most = next(own for own in written if own)
    indices = list(most)
    for index in (indices[n] for n in spread(len(indices))):
        yield {
            "index": index,
            "picture": _picture(runs, "captions", split, index),
            "references": most[index]["references"],
            "written": [(n, own[index]) for n, own in enumerate(written) if index in own],
        }


def attention(runs: Sequence[Run]) -> list[Panel]:
    """Words of captions, each with the picture as far as it was read."""
    return [
        Panel(
            split,
            number,
            [_read(runs[number], split, x) for x in _some(readings, runs) if x["words"]],
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
        panels.append(Panel(split, number, rows))
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
        panels.append(Panel(split, number, examples))
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
    for run in runs:
        file = picture_file(run.folder, kind, split, index)
        if file.is_file():
            return _data("jpeg", file.read_bytes())
    return ""


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
