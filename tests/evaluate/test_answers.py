"""Answers: the official VQA rules on counted cases and annotated questions; statements."""

import json
from pathlib import Path

import numpy as np
import pytest

from vlx.data.annotated.statements import nlvr2_sentence
from vlx.errors import UserError
from vlx.evaluate.answers import (
    by_kind,
    true_false,
    vocabulary_score,
    vqa_accuracy,
)

FOLDER = Path(__file__).parents[1] / "data_files" / "answers"
EIGHT_AND_TWO = ["yes"] * 8 + ["no"] * 2


def lines(name: str) -> list[dict]:
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


def annotated(question_id: int) -> list[str]:
    return next(q["answers"] for q in lines("vqa_v2.jsonl") if q["question_id"] == question_id)


def accuracy(predicted: str, answers: list[str]) -> float:
    return vqa_accuracy([predicted], [answers])[0]


@pytest.mark.parametrize(("same", "value"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (9, 1)])
def test_ten_annotators_make_tenths(same, value):
    answers = ["cat"] * same + [f"other {i}" for i in range(10 - same)]
    assert accuracy("cat", answers) == pytest.approx(value)


def test_each_annotator_is_left_out_once():
    """Of three annotators two agree: (1/3 + 1/3 + 2/3) / 3."""
    assert accuracy("cat", ["cat", "cat", "dog"]) == pytest.approx(4 / 9)


@pytest.mark.parametrize(
    ("question", "predicted", "value"),
    [
        (210071007, "0", 1.0),  # seven annotators
        (210071007, "None.", 1.0),
        (210071007, "one", 0.9),  # three
        (210071007, "2", 0.0),
        (513712003, "The cilantro!", 0.6),  # two
        (513712003, "stems parsley", 0.3),  # "stems, parsley" of one
        (433168006, "Stainless steel", 1.0),  # five
        (433168006, "1", 0.3),  # "one" of one
        (526082000, "cant tell", 0.3),  # "can't tell" of one
        (526082000, " Burton\n", 1.0),  # four
    ],
)
def test_spelling_is_evened_out_where_annotators_disagree(question, predicted, value):
    assert accuracy(predicted, annotated(question)) == pytest.approx(value)


@pytest.mark.parametrize(("predicted", "value"), [("pizza", 1.0), ("Pizza", 0.0), ("a pizza", 0.0)])
def test_spelling_counts_where_all_agree(predicted, value):
    assert accuracy(predicted, annotated(285891000)) == value


def test_questions_are_counted_one_by_one():
    got = vqa_accuracy(["yes", "no", "maybe"], [EIGHT_AND_TWO] * 3)
    np.testing.assert_allclose(got, [1, 0.6, 0])


def test_means_of_each_kind():
    got = by_kind(np.array([1.0, 0.0, 0.5]), ["yes/no", "other", "yes/no"])
    assert got == {"accuracy": 0.5, "accuracy_other": 0.0, "accuracy_yes/no": 0.75}


def test_a_vocabulary_scores_what_it_gives_the_chosen_answer():
    scores = np.array([[0, 0.3, 1], [0.6, 0, 0], [0, 0, 0.9]])
    np.testing.assert_array_equal(vocabulary_score(np.array([2, 0, 1]), scores), [1, 0.6, 0])


def test_consistent_are_sentences_right_everywhere():
    examples = lines("nlvr2.jsonl")
    sentence = [nlvr2_sentence(example["identifier"], "here") for example in examples]
    assert len(set(sentence)) == len({example["sentence"] for example in examples}) == 3
    label = np.array([example["label"] == "True" for example in examples])
    predicted = label.copy()
    assert true_false(predicted, label, sentence) == {"accuracy": 1, "consistency": 1}
    predicted[0] = not label[0]  # one of the two pairs of the first sentence
    got = true_false(predicted, label, sentence)
    assert got == {"accuracy": pytest.approx(4 / 5), "consistency": pytest.approx(2 / 3)}


def test_as_many_answers_as_questions_are_asked_for():
    with pytest.raises(UserError, match=r"2 answers to 1 questions; give one for each"):
        vqa_accuracy(["yes", "no"], [EIGHT_AND_TWO])


def test_a_question_without_annotators_is_named():
    with pytest.raises(UserError, match=r"Question 1 has no annotated answers .* leave it out"):
        vqa_accuracy(["yes", "no"], [EIGHT_AND_TWO, []])
