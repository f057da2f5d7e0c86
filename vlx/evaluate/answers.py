"""How right answers are: VQA accuracy, scores of a vocabulary, true or false.

Letters: N questions, A answers of a vocabulary.
"""

from collections.abc import Sequence

import numpy as np

from vlx.data.answers import normalise
from vlx.errors import UserError
from vlx.evaluate.measured import Metrics, means

ENOUGH = 3  # annotators who make an answer fully right


def vqa_accuracy(predicted: Sequence[str], annotated: Sequence[Sequence[str]]) -> np.ndarray:
    """The accuracy of each answer by the official rules of VQA v2: float64 [N].

    An answer is compared with those of all annotators but one, and is right by a third for each who
    gave it, at most fully; the mean over whom to leave out counts. Of ten annotators 0, 1, 2, 3, 4
    make 0, 0.3, 0.6, 0.9, 1. Spelling is evened out only where annotators disagree: where all wrote
    the same, they may have read it off the image.

    Raises UserError if a question has no annotators, or answers and questions differ in number.
    """
    if len(predicted) != len(annotated):
        raise UserError(
            f"There are {len(predicted)} answers to {len(annotated)} questions; give one for each."
        )
    for question, answers in enumerate(annotated):
        if not answers:
            raise UserError(
                f"Question {question} has no annotated answers to compare with; leave it out."
            )
    return np.array([_vqa(*pair) for pair in zip(predicted, annotated, strict=True)], np.float64)


def _vqa(predicted: str, annotated: Sequence[str]) -> float:
    predicted, *annotated = [_one_line(answer) for answer in (predicted, *annotated)]
    if len(set(annotated)) > 1:
        predicted, *annotated = map(normalise, (predicted, *annotated))
    everyone, same = len(annotated), annotated.count(predicted)
    without_one_of_them = same * min(1, (same - 1) / ENOUGH)
    without_another = (everyone - same) * min(1, same / ENOUGH)
    return (without_one_of_them + without_another) / everyone


def _one_line(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()


def by_kind(
    values: np.ndarray, kinds: Sequence[str], picture: Sequence[str] | None = None
) -> Metrics:
    """The mean of values [N], and that of each kind of question, such as "yes/no".

    picture: [N], names; for the intervals, questions about one picture are drawn together.
    """
    names, pictures = np.asarray(kinds), np.arange(len(values)) if picture is None else picture
    result = means({"accuracy": values}, numbered(pictures))
    for kind in sorted(set(kinds) - {""}):
        own = names == kind
        same = numbered(np.asarray(pictures)[own])
        result = result.also(means({f"accuracy_{kind}": values[own]}, same))
    return result


def vocabulary_score(answer: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The soft score of each chosen answer: int [N], scores of the vocabulary [N, A] -> [N]."""
    return np.take_along_axis(scores, answer[:, None], axis=1)[:, 0]


def true_false(predicted: np.ndarray, label: np.ndarray, sentence: Sequence[str]) -> Metrics:
    """Accuracy and consistency of statements about images: bool or int [N], a name [N] for each.

    Consistent are sentences that are right with every image, or pair of images, they come with.
    """
    right = np.asarray(predicted) == np.asarray(label)
    index = numbered(sentence)
    wrong = np.bincount(index, weights=~right)
    return means({"accuracy": right}, index).also(means({"consistency": wrong == 0}))


def numbered(names: Sequence) -> np.ndarray:
    """A number from 0 for each different name: [N]."""
    return np.unique(np.asarray(names), return_inverse=True)[1]
