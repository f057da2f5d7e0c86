"""The answers that a model chooses from, and what each is worth for a question.

Letters: A answers.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from vlx.data.answers import normalise, soft_score, spelled
from vlx.data.config import DataConfig
from vlx.data.records import Record, Source, annotation, answer_names, tokenizer_texts
from vlx.data.tokenizers.vocabulary import write
from vlx.errors import UserError

FILE = "answers.txt"  # in a run's folder

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answers:
    """Answers by number; `spelling` of SPELLINGS, in which annotators' answers are looked up."""

    answers: tuple[str, ...]
    spelling: str = "written"

    def __len__(self) -> int:
        return len(self.answers)

    def scores(self, annotators: tuple[str, ...]) -> np.ndarray:
        """What each answer is worth, float32 [A], by how many annotators gave exactly that.

        0, 0.3, 0.6, 0.9, 1 for 0, 1, 2, 3, 4 or more; the answer of a single annotator is worth 1.
        """
        scores = np.zeros(len(self.answers), np.float32)
        alone = len(annotators) == 1
        for answer, count in Counter(spelled(annotators, self.spelling)).items():
            if answer in self._numbers:
                scores[self._numbers[answer]] = 1.0 if alone else soft_score(count)
        return scores

    def know(self, annotators: Sequence[str]) -> bool:
        """Whether any of them is an answer."""
        return any(answer in self._numbers for answer in spelled(annotators, self.spelling))

    def name(self, index: int) -> str:
        return self.answers[index]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {answer: number for number, answer in enumerate(self.answers)}


def build_answers(config: DataConfig, folder: str, source: Callable[[str], Source]) -> Answers:
    """From the run's `folder`, which keeps them, else from data.answers, else counted.

    source: the records of a split; read only if answers are counted.
    """
    kept = os.path.join(folder, FILE)
    if os.path.isfile(kept):
        answers = read_answers(kept)
    elif config.answers:
        answers = read_answers(config.answers)
    else:
        split = config.answer_split or config.train_split
        answers = _count(source(split), config.answer_count, split)
    if not os.path.isfile(kept):
        write(kept, "".join(f"{answer}\n" for answer in answers.answers).encode())
    return replace(answers, spelling=config.answer_spelling)


def read_answers(path: str) -> Answers:
    """One answer a line."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (OSError, ValueError) as error:
        raise UserError(f"data.answers={path!r} cannot be read: {error}.") from error
    answers = tuple(line.strip() for line in lines if line.strip())
    if not answers:
        raise UserError(f"data.answers={path!r} is empty; it must hold one answer a line.")
    twice = [answer for answer, count in Counter(answers).items() if count > 1]
    if twice:
        raise UserError(f"data.answers={path!r} holds {twice[0]!r} twice; each needs one number.")
    return Answers(answers)


def count_answers(common: Iterable[str], least: int) -> tuple[str, ...]:
    """The answers that occur so often, in the order in which they first occur."""
    return tuple(answer for answer, count in Counter(common).items() if count >= least)


def common_answer(record: Record) -> str:
    """What a question's annotators say most, in the benchmark's spelling; empty without answers.

    What a single annotator wrote stays as it is: as a target it is compared by its letters.
    """
    answers = record.get("answers", ())
    if len(answers) < 2:
        return answers[0] if answers else ""
    return normalise(record.get("answer") or Counter(answers).most_common(1)[0][0])


def answerable(source: Source, answers: Answers, split: str) -> Source:
    """The records of `source` without questions none of whose answers the vocabulary has.

    How many these are is logged. Records without answers, as those of tests, all stay.
    """
    known = answer_names(source)
    if known:
        missing = [name for name in known if not answers.know((name,))]
        if missing:
            raise UserError(
                f"The answers lack {missing[0]!r}, which questions of the split {split!r} have; "
                f"{len(missing)} of {len(known)} are missing."
            )
        return source
    rows = [n for n in range(len(source)) if _stays(annotation(source, n), answers)]
    if len(rows) == len(source):
        return source
    _log.warning(
        "split %r: %d of %d questions are left out, because none of their answers is among the %d "
        "that the model can give",
        *(split, len(source) - len(rows), len(source), len(answers)),
    )
    if not rows:
        raise UserError(
            f"No question of the split {split!r} has an answer among the {len(answers)} that the "
            "model can give; lower data.answer_count, or set data.answers."
        )
    return ChosenSource(source, np.asarray(rows))


class ChosenSource:
    """The records of `source` at these rows."""

    def __init__(self, source: Source, rows: np.ndarray):
        self.class_names = source.class_names
        self.answer_names = answer_names(source)
        self.available = len(source)
        self._source = source
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Record:
        return self._source[int(self._rows[index])]

    def annotation(self, index: int) -> Record:
        return annotation(self._source, int(self._rows[index]))

    def captions(self, index: int) -> tuple[str, ...]:
        return tokenizer_texts(self._source, int(self._rows[index]))


def _stays(record: Record, answers: Answers) -> bool:
    return "answers" not in record or answers.know(record["answers"])


def _count(source: Source, least: int, split: str) -> Answers:
    known = answer_names(source)
    if known:
        return Answers(known)
    common = (common_answer(annotation(source, index)) for index in range(len(source)))
    answers = count_answers(filter(None, common), least)
    if not answers:
        raise UserError(
            f"No answer is the most common of {least} questions of the split {split!r}; lower "
            "data.answer_count, or name a file of answers with data.answers."
        )
    _log.info("%d answers, each the most common of %d questions or more", len(answers), least)
    return Answers(answers)
