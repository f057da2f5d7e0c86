"""Records with views that are drawn from seeds of their own, so that they can be drawn again.

Letters: K views of a record, Z side of what a tokenizer sees.
"""

from dataclasses import dataclass

import numpy as np

from vlx.data.batch import Example
from vlx.data.codes import Codes, view_seeds
from vlx.data.config import DataConfig
from vlx.data.pipeline import read_pixels
from vlx.data.records import Record, Source, annotation, answer_names, available, tokenizer_texts
from vlx.data.views import target_view


class SeededSource:
    """The records of `source` from number `first` on, each with the seeds of `views` views."""

    def __init__(self, source: Source, seed: int, views: int, first: int = 0):
        self.class_names = source.class_names
        self._source, self._seed, self._views, self._first = source, seed, views, first

    def __len__(self) -> int:
        return len(self._source) - self._first

    def __getitem__(self, index: int) -> Record:
        number = self._first + index
        seeds = view_seeds(self._seed, number, self._views)
        return {**self._source[number], "view_seeds": seeds}


class CodedSource:
    """The records of `source`, each with the seeds and the codes of its views.

    Raises UserError if the codes are of another number of records.
    """

    def __init__(self, source: Source, codes: Codes):
        codes.check({"records": len(source)})
        self.class_names = source.class_names
        self.answer_names = answer_names(source)
        self.available = available(source)
        if hasattr(source, "order"):  # of a mixture, whose parts have shares
            self.order = source.order
        self._source, self._codes = source, codes

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        given = {"view_seeds": self._codes.seeds(index), "codes": self._codes[index]}
        return {**self._source[index], **given}

    def annotation(self, index: int) -> Record:
        return annotation(self._source, index)

    def captions(self, index: int) -> tuple[str, ...]:
        return tokenizer_texts(self._source, index)


@dataclass(frozen=True)
class TargetViews:
    """Of a record with `view_seeds` what a tokenizer sees: `views` uint8 [K, Z, Z, 3]."""

    config: DataConfig

    def __call__(self, record: Record) -> Example:
        pixels = read_pixels(record, "image", self.config)
        generators = map(np.random.default_rng, record["view_seeds"])
        views = [target_view(pixels, self.config, rng) for rng in generators]
        return {"views": np.stack(views), "weight": np.float32(1)}
