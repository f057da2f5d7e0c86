"""METEOR and SPICE, which exist as Java programs in the optional package pycocoevalcap."""

import shutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

from vlx.errors import UserError
from vlx.evaluate.captions.score import References, Score, mean

SPICE_MODELS = "stanford-corenlp-3.6.0-models.jar"  # of its parser; not in the package


def meteor(candidates: Sequence[str], references: References) -> dict[str, Score]:
    """meteor (version 1.5) of tokenised captions. Raises UserError without package or Java."""
    _package("meteor")
    from pycocoevalcap.meteor.meteor import Meteor

    corpus, each = _run("meteor", Meteor, candidates, references)
    return {"meteor": Score(corpus, mean(each).each)}


def spice(candidates: Sequence[str], references: References) -> dict[str, Score]:
    """spice of tokenised captions. Raises UserError without package, parser models or Java."""
    if not (_package("spice") / "spice/lib" / SPICE_MODELS).is_file():
        raise UserError(
            "The metric spice needs the Stanford parser; fetch it (400 MB) by python -m "
            "pycocoevalcap.spice.get_stanford_models, or leave the metric out."
        )
    from pycocoevalcap.spice.spice import Spice

    _, each = _run("spice", Spice, candidates, references)
    return {"spice": mean([image["All"]["f"] for image in each])}


def _package(metric: str) -> Path:
    """The folder of pycocoevalcap, once it is known to be there, and Java too."""
    if not shutil.which("java"):
        raise UserError(
            f"The metric {metric} is a Java program, and there is no java on the PATH: install a "
            "Java runtime, or leave the metric out."
        )
    spec = find_spec("pycocoevalcap")
    if spec is None:
        raise UserError(
            f"The metric {metric} needs the package pycocoevalcap: pip install 'vlx[captions]', or "
            "leave the metric out."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _run(
    metric: str, program: Callable[[], Any], candidates: Sequence[str], references: References
) -> tuple[float, list]:
    """The value of the corpus and those of the images."""
    own = {image: [text] for image, text in enumerate(candidates)}
    others = {image: list(texts) for image, texts in enumerate(references)}
    try:
        return program().compute_score(others, own)
    except (OSError, ValueError, CalledProcessError) as error:
        raise UserError(
            f"The Java program of the metric {metric} failed ({error}): try the Java runtime that "
            "it was written for, version 8, or leave the metric out."
        ) from error
