"""Going on without bad records: each is named in the log once, and all are counted."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from vlx.data.records import Record, Source, annotation, answer_names, tokenizer_texts
from vlx.errors import UserError

NAMED = 20  # bad records that the log names
TRIES = 100  # records in a row that may be bad: then the data are, and not a few records

T = TypeVar("T")
_log = logging.getLogger(__name__)


class SkipLog:
    """How many records were skipped, over all epochs."""

    def __init__(self):
        self.count = 0
        self._named: set[str] = set()

    def add(self, problems: Iterable[str]) -> None:
        for problem in problems:
            self.count += 1
            if problem in self._named or len(self._named) > NAMED:
                continue
            self._named.add(problem)
            if len(self._named) > NAMED:
                _log.warning("more than %d bad records: others are only counted", NAMED)
            else:
                _log.warning("skipped: %s", problem)


def first_good(make: Callable[[int], T]) -> tuple[T, tuple[str, ...]]:
    """The first of make(0), make(1), ... that is no user's mistake, and the mistakes before it."""
    problems: list[str] = []
    for attempt in range(TRIES):
        try:
            return make(attempt), tuple(problems)
        except UserError as error:
            problems.append(str(error))
    raise UserError(f"{TRIES} records in a row are bad; the first: {problems[0]}")


class TolerantSource:
    """The records of `source`; of one that cannot be read, nothing is known without its pixels."""

    def __init__(self, source: Source):
        self.class_names = source.class_names
        self.answer_names = answer_names(source)
        self._source = source
        self._skips = SkipLog()

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        return self._source[index]

    def captions(self, index: int) -> tuple[str, ...]:
        try:
            return tokenizer_texts(self._source, index)
        except UserError as error:
            self._skips.add([str(error)])
            return ()

    def annotation(self, index: int) -> Record:
        try:
            return annotation(self._source, index)
        except UserError as error:
            self._skips.add([str(error)])
            return {}
