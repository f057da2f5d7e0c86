"""Checks of answers: their normalisation, vocabulary and targets, and what accuracy is made of."""

import json
import tempfile
from pathlib import Path

import numpy as np

from vlx.data import DataConfig, build_answers, build_source
from vlx.data.answers import ARTICLES, CONTRACTIONS, NUMBERS, PUNCTUATION, normalise, soft_score
from vlx.data.records import annotation
from vlx.evaluate.answers import true_false, vocabulary_score

from golden_checks.case import Case, Ratios

IGNORED = -100  # a target that does not count
TOLERANCE = 1e-6


def check_targets(case: Case) -> Ratios:
    """From annotation files to the vocabulary, the questions that stay, and their scores."""
    inputs, want = case.meta["inputs"], case.meta["outputs"]
    ratios = {
        f"score of {n}": _same(soft_score(int(n)), score)
        for n, score in want["score_of_count"].items()
    }
    with tempfile.TemporaryDirectory() as folder:
        for split, annotated in inputs["annotations"].items():
            write_questions(Path(folder), split, annotated)
        count = {"answer_count": inputs["min_count"], "answer_split": "train+val"}
        config = DataConfig(source="vqa_v2", path=folder, **count)
        answers = build_answers(config, folder, lambda split: build_source(config, split))
        for number, answer in want["label_to_answer"].items():
            ratios[f"answer {number}"] = _equal(answers.name(int(number)), answer)
        for split in inputs["annotations"]:
            source = build_source(config, split, answers=answers)
            records = [annotation(source, n) for n in range(len(source))]
            wanted = {int(n): q for n, q in want["questions"].items() if q["split"] == split}
            kept = {record["question_id"] for record in records}
            ratios[f"kept of {split}"] = _equal(kept, set(wanted))
            for record in records:
                question = wanted[record["question_id"]]
                scores = np.zeros(len(answers), np.float32)
                scores[question["labels"]] = question["scores"]
                error = np.max(np.abs(answers.scores(record["answers"]) - scores))
                ratios[f"question {record['question_id']}"] = error / TOLERANCE
    return ratios


def check_normalise(case: Case) -> Ratios:
    pairs = zip(case.meta["inputs"], case.meta["outputs"], strict=True)
    return {repr(text): _equal(normalise(text), want) for text, want in pairs}


def check_metrics(case: Case) -> Ratios:
    inputs, want = case.meta["inputs"], case.meta["outputs"]
    chosen, target = _joined(inputs["accuracy_batches"])
    real = target != IGNORED
    alike = ["" for _ in target[real]]
    accuracy = true_false(chosen[real], target[real], alike)["accuracy"]
    chosen, target = _joined(inputs["vqa_batches"])
    return {
        "accuracy": _same(accuracy, want["accuracy"]),
        "vqa_score": _same(np.mean(vocabulary_score(chosen, target)), want["vqa_score"]),
    }


def check_tables(case: Case) -> Ratios:
    """Contractions that stay as they are, or have capitals, can change nothing and are left out."""
    want = case.meta["outputs"]
    contractions = {k: v for k, v in want["contractions"].items() if k != v and k == k.lower()}
    ours = {k: v for k, v in CONTRACTIONS.items() if k != v}
    return {
        "contractions": _equal(ours, contractions),
        "number_words": _equal(NUMBERS, want["number_words"]),
        "articles": _equal(list(ARTICLES), want["articles"]),
        "punctuation": _equal(list(PUNCTUATION), want["punctuation"]),
    }


def write_questions(folder: Path, split: str, annotated: list[dict], asked=None) -> None:
    """The authors' files of a split; questions are made up where they are not given."""
    asked = asked or [{"question": "what is it?", **answered} for answered in annotated]
    contents = {
        f"v2_OpenEnded_mscoco_{split}2014_questions.json": {"questions": asked},
        f"v2_mscoco_{split}2014_annotations.json": {"annotations": annotated},
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))


def _joined(batches: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """The most likely class [N], and the targets [N] or [N, A]."""
    logits = np.concatenate([np.asarray(batch["logits"]) for batch in batches])
    target = np.concatenate([np.asarray(batch["target"]) for batch in batches])
    return np.argmax(logits, axis=1), target


def _same(got: float, want: float) -> float:
    return abs(got - want) / TOLERANCE


def _equal(got, want) -> float:
    return 0.0 if got == want else np.inf


FACTS = {"facts_vqa_tables": check_tables}
CHECKS = {
    "vqa_targets": check_targets,
    "vqa_answer_normalize": check_normalise,
    "metrics": check_metrics,
}
