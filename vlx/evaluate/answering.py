"""What a model answers about pictures: questions from a vocabulary, statements with true or false.

Letters: N examples, A answers.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vlx.data import Source
from vlx.data.records import Record, annotation, available
from vlx.errors import UserError
from vlx.evaluate.answers import by_kind, numbered, true_false, vqa_accuracy
from vlx.evaluate.context import PICTURES, Context
from vlx.evaluate.examples import keep_examples, keep_pictures, spread
from vlx.evaluate.measured import Metrics, means
from vlx.evaluate.predictions import keep_predictions
from vlx.parallel.mesh import place_rows
from vlx.parallel.start import from_all_processes

TRUTH = ("false", "true")  # by label

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """An example, what was answered to it and what people say."""

    index: int
    text: str
    answer: str
    expected: tuple[str, ...]
    score: float


def vqa(context: Context, params: Any) -> Metrics:
    """How right the model's likeliest answers to the split's questions are.

    `score` is what an answer is worth as a training target, `accuracy` that of the official rules,
    also for each type of question; `answerable` is the share of questions that were asked: those
    that have an answer in the vocabulary. `chance` is the score of the best answer for all
    questions alike. Answers are kept in the run's evaluations/: some with
    their pictures in answers-SPLIT.json, and all in predictions-SPLIT.json, as the benchmark's
    server reads them, if questions have numbers. Without annotations nothing is measured.
    """
    setup = context.setup
    known = setup.answers
    if known is None:
        raise UserError(
            "The evaluator vqa needs a task that answers from a vocabulary; leave it out of "
            "evaluate.names."
        )
    source = context.source
    index, chosen = _choose(context, params, source, "vqa", len(known))
    records = [annotation(source, n) for n in index.tolist()]
    said = [known.name(n) for n in chosen.tolist()]
    keep_predictions(context, records, said, ("question_id", "answer"))
    expected = [record.get("answers", ()) for record in records]
    worth, constant = np.zeros(len(chosen)), np.zeros(len(known))
    for n, answers in enumerate(expected):
        scores = known.scores(answers)
        worth[n] = scores[chosen[n]]
        constant += scores
    _keep(context, "answers", source, index, records, said, expected, worth)
    rows = np.flatnonzero([len(answers) for answers in expected])
    if not len(rows):
        _log.info(
            "The split %r has no answers to compare with; predictions are kept", context.split
        )
        return Metrics({})
    pictures = [_picture(records[n]) for n in rows]
    right = np.array([_accuracy(said[n], expected[n]) for n in rows])
    kinds = [str(records[n].get("answer_type", "")) for n in rows]
    score = means({"score": worth[rows]}, numbered(pictures))
    rest = {
        "chance": constant.max() / len(rows),
        "answerable": len(source) / available(source),
    }
    return score.also(by_kind(right, kinds, pictures)).also(rest)


def statements(context: Context, params: Any) -> Metrics:
    """Accuracy and consistency of true or false; some are kept in statements-SPLIT.json.

    `chance` is the accuracy of saying the same, true or false, of all.
    """
    source = context.source
    index, chosen = _choose(context, params, source, "statements", len(TRUTH))
    records = [annotation(source, n) for n in index.tolist()]
    for record in records:
        if record.get("label") not in (0, 1):
            raise UserError(
                f"{record.get('id')}: a statement needs the label true or false, or 1 or 0; set "
                "data.label_column, or leave statements out of evaluate.names."
            )
    label = np.array([record["label"] for record in records])
    said, expected = ([TRUTH[n] for n in x] for x in (chosen, label))
    right = (chosen == label).astype(float)
    _keep(context, "statements", source, index, records, said, [(x,) for x in expected], right)
    sentences = [record.get("sentence", record["captions"][0]) for record in records]
    chance = max(np.mean(label), 1 - np.mean(label))
    return true_false(chosen, label, sentences).also({"chance": chance})


def _choose(
    context: Context, params: Any, source: Source, evaluator: str, answers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places in the source and likeliest answers of all examples: int [N] both."""
    setup = context.setup
    model, fields = setup.task.model, setup.task.fields
    if not hasattr(model, "answer"):
        raise UserError(
            f"The evaluator {evaluator} needs a model that answers, which {type(model).__name__} "
            "does not; leave it out of evaluate.names."
        )
    names = [name for name in (*PICTURES, "text") if name in fields]
    found = []
    for batch in context.batches(source, setup.config.evaluate.examples, context.asked(*names)):
        rows = place_rows({name: batch[name] for name in names}, setup.mesh)
        logits = np.asarray(context.answer(params, rows))
        if logits.shape[1] != answers:
            raise UserError(
                f"The evaluator {evaluator} needs {answers} answers, but the model gives "
                f"{logits.shape[1]}."
            )
        index, weight = (from_all_processes(batch[name]) for name in ("index", "weight"))
        found.append(np.stack([index, np.argmax(logits, axis=1)])[:, weight > 0])
    index, chosen = np.concatenate(found, axis=1)
    return index, chosen


def _accuracy(said: str, annotated: Sequence[str]) -> float:
    """By the official rules, which need several annotators; of one the answer itself counts."""
    if len(annotated) == 1:
        return float(said == annotated[0])
    return float(vqa_accuracy([said], [annotated])[0])


def _picture(record: Record) -> str:
    return str(record.get("picture", record.get("id")))


def _keep(context, kind, source, index, records, said, expected, score) -> None:
    """Some examples, spread over the split, with their pictures."""
    kept = [
        Answered(
            int(index[n]), records[n]["captions"][0], said[n], tuple(expected[n]), float(score[n])
        )
        for n in spread(len(index))
    ]
    keep_examples(context, kind, [asdict(example) for example in kept])
    keep_pictures(context, kind, source, [example.index for example in kept])
