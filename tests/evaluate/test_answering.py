"""Answers of a model that is known, compared with those of people, on one device and on eight."""

import json

import numpy as np
import pytest
from data.pictures import encoded, picture, write_jsonl
from evaluate.answering_run import answering
from PIL import Image

from vlx.errors import UserError
from vlx.evaluate import build_evaluators
from vlx.evaluate.answers import true_false, vqa_accuracy

from tiny_run import config, ready

WORDS = ("red", "blue", "two", "yes", "no")
TYPES = ("other", "other", "number", "yes/no", "yes/no")
QUESTIONS = 13  # no multiple of a batch


def ask(folder, **changes):
    """A list of questions about five pictures, each answered by ten people, and their answers."""
    rng, rows = np.random.default_rng(0), []
    for n in range(QUESTIONS):
        (folder / f"{n % 5}.png").write_bytes(encoded(picture(n % 5, 16, 16)))
        answers = rng.choice(WORDS, 10, p=[0.5, 0.3, 0.1, 0.05, 0.05]).tolist()
        rows.append({
            "image": f"{n % 5}.png", "question": f"what is number {n}?", "answers": answers,
            "question_id": 100 + n, "answer_type": TYPES[n % 5], "split": "val",
        } | changes)  # fmt: skip
    rows += [{**row, "split": "train"} for row in rows]
    write_jsonl(folder / "questions.jsonl", rows)
    (folder / "answers.txt").write_text("".join(f"{word}\n" for word in WORDS))
    return rows[:QUESTIONS]


def measure(setup, name: str = "vqa", split: str = "val"):
    metrics = build_evaluators(setup, (name,), split)[name]({})
    return metrics, setup.workdir / "evaluations"


def chosen(setup, rows, answers: int) -> list[int]:
    """What the model answers: the sum of the text's ids and of the pictures' first pixels."""
    tokens = setup.tokenizer, setup.config.tokenizer.length
    numbers = [int(row["image"].removesuffix(".png")) for row in rows]
    second = [int(row.get("second_image", "0.png").removesuffix(".png")) for row in rows]
    texts = [row.get("question", row.get("sentence")) for row in rows]
    totals = [int(tokens[0].encode(text, tokens[1]).sum()) for text in texts]
    return [(t + a + 3 * b) % answers for t, a, b in zip(totals, numbers, second, strict=True)]


@pytest.fixture
def questions(tmp_path):
    return ask(tmp_path)


def data(folder, **changes):
    listed = {"source": "jsonl", "path": str(folder), "file": "questions.jsonl"}
    return listed | {"answers": str(folder / "answers.txt")} | changes


@pytest.mark.parametrize("devices", [1, 8])
def test_answers_are_scored_and_kept(tmp_path, questions, devices):
    setup = answering(tmp_path, data(tmp_path), len(WORDS), devices)
    metrics, folder = measure(setup)
    said = [WORDS[n] for n in chosen(setup, questions, len(WORDS))]
    counts = [row["answers"].count(word) for row, word in zip(questions, said, strict=True)]
    scores = [(0, 0.3, 0.6, 0.9, 1)[min(count, 4)] for count in counts]
    assert metrics["score"] == pytest.approx(np.mean(scores))
    right = vqa_accuracy(said, [row["answers"] for row in questions])
    assert metrics["accuracy"] == pytest.approx(right.mean())
    numbers = [kind == "number" for kind in (row["answer_type"] for row in questions)]
    assert metrics["accuracy_number"] == pytest.approx(right[numbers].mean())
    assert metrics["answerable"] == 1
    constant = np.mean([
        [(0, 0.3, 0.6, 0.9, 1)[min(row["answers"].count(word), 4)] for word in WORDS]
        for row in questions
    ], axis=0)  # fmt: skip
    assert metrics["chance"] == pytest.approx(constant.max())
    assert set(metrics.intervals) == set(metrics) - {"answerable", "chance"}
    predicted = json.loads((folder / "predictions-val.json").read_text())
    assert predicted == [{"question_id": 100 + n, "answer": word} for n, word in enumerate(said)]
    kept = json.loads((folder / "answers-val.json").read_text())
    assert [example["answer"] for example in kept] == said
    assert [example["expected"] for example in kept] == [row["answers"] for row in questions]
    assert all((folder / "answers-val" / f"{n}.jpg").is_file() for n in range(QUESTIONS))


def test_the_run_keeps_its_answers(tmp_path, questions):
    setup = answering(tmp_path, data(tmp_path), len(WORDS))
    before = measure(setup)[0]
    (tmp_path / "answers.txt").unlink()
    assert (setup.workdir / "answers.txt").read_text().split() == list(WORDS)
    assert measure(answering(tmp_path, data(tmp_path), len(WORDS)))[0] == before


def test_a_single_answer_counts_as_it_is(tmp_path):
    rows = ask(tmp_path, answers="red")
    setup = answering(tmp_path, data(tmp_path), len(WORDS))
    metrics, _ = measure(setup)
    share = np.mean([n == 0 for n in chosen(setup, rows, len(WORDS))])
    assert metrics["accuracy"] == metrics["score"] == pytest.approx(share)


def test_questions_that_no_answer_fits_are_not_asked(tmp_path, questions):
    (tmp_path / "answers.txt").write_text("yes\nno\n")
    fits = [row for row in questions if {"yes", "no"} & set(row["answers"])]
    setup = answering(tmp_path, data(tmp_path), 2)
    metrics, folder = measure(setup)
    assert metrics["answerable"] == pytest.approx(len(fits) / QUESTIONS)
    predicted = json.loads((folder / "predictions-val.json").read_text())
    assert [row["question_id"] for row in predicted] == [row["question_id"] for row in fits]
    assert 0 < len(fits) < QUESTIONS


def test_without_annotations_answers_are_kept_alone(tmp_path):
    ask(tmp_path, answers=None)
    setup = answering(tmp_path, data(tmp_path), len(WORDS))
    metrics, folder = measure(setup)
    assert metrics == {}
    assert len(json.loads((folder / "predictions-val.json").read_text())) == QUESTIONS


def test_what_cannot_answer_is_told(tmp_path, questions):
    with pytest.raises(UserError, match=r"data have 5 answers, the model 3. Set model.answers=5"):
        measure(answering(tmp_path, data(tmp_path), 3))
    claim(tmp_path)
    pairs = {"source": "jsonl", "path": str(tmp_path), "file": "statements.jsonl"}
    with pytest.raises(UserError, match=r"statements needs 2 answers, but the model gives 3"):
        measure(answering(tmp_path, pairs, 3, **PAIRS), "statements")
    captioner = ready(tmp_path / "captioner", config(tmp_path, data=data(tmp_path)), 1)
    with pytest.raises(UserError, match=r"vqa needs a task that answers from a vocabulary"):
        measure(captioner)
    with pytest.raises(UserError, match=r"statements needs a model that answers, .*Coca does not"):
        measure(captioner, "statements")


def claim(folder, **changes):
    """Statements about pairs of pictures, of which two share a sentence."""
    rows = []
    for n in range(QUESTIONS):
        (folder / f"{n}.png").write_bytes(encoded(picture(n, 16, 16)))
        rows.append({
            "image": f"{n}.png", "second_image": f"{(5 * n) % QUESTIONS}.png",
            "sentence": f"statement {n // 2} is true", "label": n % 3 == 0, "split": "val",
        } | changes)  # fmt: skip
    rows += [{**row, "split": "train"} for row in rows]
    write_jsonl(folder / "statements.jsonl", rows)
    return rows[:QUESTIONS]


PAIRS = {"fields": ("image", "second_image", "text", "label", "weight")}


@pytest.mark.parametrize("devices", [1, 8])
def test_statements_about_pairs(tmp_path, devices):
    rows = claim(tmp_path)
    setup = answering(tmp_path, {"source": "jsonl", "path": str(tmp_path)}, 2, devices, **PAIRS)
    metrics, folder = measure(setup, "statements")
    said, label = np.array(chosen(setup, rows, 2)), np.array([row["label"] for row in rows])
    expected = true_false(said, label, [row["sentence"] for row in rows])
    assert metrics == expected | {"chance": 8 / 13}
    assert 0 < metrics["consistency"] < metrics["accuracy"] < 1
    kept = json.loads((folder / "statements-val.json").read_text())
    assert [example["answer"] for example in kept] == [("false", "true")[n] for n in said]
    assert [example["score"] for example in kept] == (said == label).tolist()
    with Image.open(folder / "statements-val" / "3.jpg") as picture:
        assert picture.size == (32, 16)  # both, side by side


def test_statements_about_drawn_pairs(tmp_path):
    """The built-in world serves as it is."""
    shapes = {"source": "shapes", "about": "pairs"}
    sizes = {"model": {"image_size": 32}, "tokenizer": {"captions": 60, "vocab_size": 40}}
    setup = answering(tmp_path, shapes, 2, evaluate={"examples": 12}, **sizes, **PAIRS)
    assert 0 <= measure(setup, "statements")[0]["accuracy"] <= 1


@pytest.mark.parametrize("label", [{"label": 2}, {}])
def test_statements_need_true_or_false(tmp_path, label):
    rows = claim(tmp_path)
    rows = [{k: v for k, v in row.items() if k != "label"} | label for row in rows]
    write_jsonl(tmp_path / "statements.jsonl", rows + [{**row, "split": "train"} for row in rows])
    setup = answering(tmp_path, {"source": "jsonl", "path": str(tmp_path)}, 2, **PAIRS)
    with pytest.raises(UserError, match=r"jsonl line 1: a statement needs the label true or false"):
        measure(setup, "statements")
