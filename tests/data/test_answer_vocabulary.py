"""Vocabularies of answers: how they are counted, kept and read, and whom they leave out."""

import json
import logging

import numpy as np
import pytest
from data.pictures import write_jsonl

from vlx.data import DataConfig, build_answers, build_source
from vlx.data.answer_vocabulary import Answers, answerable, common_answer, count_answers
from vlx.data.records import annotation, available
from vlx.errors import UserError


def questions(folder, answered, split: str = "train", **columns):
    """A list of questions without pictures; `answered` are the answers of each."""
    rows = [
        {"image": "0.png", "question": f"what is {n}?", "answers": answers, **columns}
        for n, answers in enumerate(answered)
    ]
    write_jsonl(folder / f"{split}.jsonl", rows)
    return DataConfig(source="jsonl", path=str(folder), answer_count=2)


def build(config, folder):
    return build_answers(config, str(folder), lambda split: build_source(config, split))


def test_answers_count_in_the_order_of_their_first_question(tmp_path):
    ten = [["a dog"] * 6 + ["cat"] * 4, ["Cat"] * 10, ["the dog"] * 9 + ["cat"], ["cat"] * 10]
    config = questions(tmp_path, [*ten, ["bird"] * 10])
    answers = build(config, tmp_path / "run")
    assert answers.answers == ("dog", "cat")  # of ten annotators the answer in one spelling
    assert (answers.name(1), len(answers)) == ("cat", 2)
    assert (tmp_path / "run" / "answers.txt").read_text() == "dog\ncat\n"


def test_single_answers_count_as_they_are(tmp_path):
    config = questions(tmp_path, [["The dog"], ["a cat"], ["The dog"], ["a cat"], ["one"]])
    assert build(config, tmp_path / "run").answers == ("The dog", "a cat")


def test_the_stated_answer_goes_before_the_counted_one():
    assert common_answer({"answers": ("a", "b", "b")}) == "b"
    assert common_answer({"answers": ("a", "b", "b"), "answer": "Two"}) == "2"
    assert common_answer({"captions": ("why?",)}) == ""
    assert count_answers(["a", "b", "b", "a", "c"], 2) == ("a", "b")


def test_other_splits_may_be_counted(tmp_path):
    config = questions(tmp_path, [["red"], ["red"]])
    questions(tmp_path, [["blue"]] * 2, "val")
    assert build(config, tmp_path / "a").answers == ("red",)
    other = DataConfig(**{**vars(config), "answer_split": "val"})
    assert build(other, tmp_path / "b").answers == ("blue",)


def test_scores_of_raw_answers():
    answers = Answers(("red", "blue", "green"))
    ten = ("red",) * 5 + ("Blue",) * 2 + ("blue",) * 2 + ("teal",)
    np.testing.assert_allclose(answers.scores(ten), [1, 0.6, 0])
    np.testing.assert_allclose(answers.scores(("green",)), [0, 0, 1])
    np.testing.assert_allclose(answers.scores(("green", "blue")), [0, 0.3, 0.3])
    assert answers.scores(("teal",)).tolist() == [0, 0, 0]
    assert answers.scores(ten).dtype == np.float32


def test_scores_of_normalised_answers():
    """Two spellings of an answer count together; what a single annotator wrote stays."""
    answers = Answers(("red", "2"), "normalised")
    ten = ("Red!",) + ("the red",) * 2 + ("two", "2") + ("teal",) * 5
    np.testing.assert_allclose(answers.scores(ten), [0.9, 0.6])
    assert Answers(("red", "2")).scores(ten).tolist() == pytest.approx([0, 0.3])
    assert answers.scores(("two",)).tolist() == [0, 0]
    assert answers.know(("Two.", "teal"))
    assert not answers.know(("Two.",))


def test_the_spelling_is_a_setting(tmp_path):
    config = questions(tmp_path, [["the dog", "dog"], ["a dog", "Dog"]])
    config = DataConfig(**{**vars(config), "answer_spelling": "normalised"})
    for _ in range(2):  # counted, then kept
        assert build(config, tmp_path / "run").scores(("a dog", "Dog")).tolist() == [
            pytest.approx(0.6)
        ]
    with pytest.raises(UserError, match=r"data\.answer_spelling='normal' is unknown"):
        DataConfig(answer_spelling="normal")


def test_the_run_keeps_what_it_read(tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("no\nyes\n\ndon't know\n")
    config = DataConfig(answers=str(listed))
    assert build(config, tmp_path / "run").answers == ("no", "yes", "don't know")
    listed.unlink()
    assert build(config, tmp_path / "run").answers == ("no", "yes", "don't know")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: .*No such file"),
        (b"", "is empty; it must hold one answer a line"),
        (b" \n\n", "is empty"),
        (b"yes\nno\nyes\n", "holds 'yes' twice"),
        (b"\xff", "cannot be read: .*utf-8"),
    ],
)
def test_lists_that_are_none(tmp_path, content, message):
    listed = tmp_path / "list.txt"
    if content is not None:
        listed.write_bytes(content)
    with pytest.raises(UserError, match=f"data.answers='.*list.txt' {message}"):
        build(DataConfig(answers=str(listed)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_rare_answers_make_no_vocabulary(tmp_path):
    config = questions(tmp_path, [["red"], ["blue"]])
    message = r"No answer is the most common of 2 questions of the split 'train'; lower data.answer"
    with pytest.raises(UserError, match=message):
        build(config, tmp_path / "run")
    with pytest.raises(UserError, match=r"data.answer_count=0 must be 1 or more"):
        DataConfig(answer_count=0)


def test_questions_that_no_answer_fits_are_left_out_and_counted(tmp_path, caplog):
    config = questions(tmp_path, [["red"], ["teal"], ["blue", "red"], None, ["Red"]])
    with caplog.at_level(logging.WARNING):
        found = build_source(config, "train", answers=Answers(("red",)))
    assert "split 'train': 2 of 5 questions are left out" in caplog.text
    assert [found.captions(n) for n in range(3)] == [
        ("what is 0?",),
        ("what is 2?",),
        ("what is 3?",),
    ]
    assert [annotation(found, n).get("answers") for n in range(3)] == [
        ("red",),
        ("blue", "red"),
        None,
    ]
    with pytest.raises(
        UserError, match=r"No question of the split 'train' has an answer among the 1"
    ):
        build_source(questions(tmp_path, [["teal"]]), "train", answers=Answers(("red",)))


def test_a_source_of_which_all_stay_is_as_it_was(tmp_path):
    source = build_source(questions(tmp_path, [["red"]]), "train")
    assert answerable(source, Answers(("red",)), "train") is source


def test_bad_rows_are_no_questions_without_answers(tmp_path):
    """What is skipped is decided where records are read."""
    config = questions(tmp_path, [["red"], ["teal"]])
    with open(tmp_path / "train.jsonl", "a") as file:
        file.write("{\n")
    tolerant = DataConfig(**{**vars(config), "on_error": "skip"})
    assert len(build_source(tolerant, "train", answers=Answers(("red",)))) == 2


def test_each_part_of_a_mixture_leaves_out_its_own(tmp_path):
    for name, answers in (("a", [["red"], ["teal"]]), ("b", [["blue"], ["red"], ["red"]])):
        (tmp_path / name).mkdir()
        questions(tmp_path / name, answers)
    parts = tuple({"source": "jsonl", "path": str(tmp_path / name)} for name in "ab")
    mixed = build_source(DataConfig(mixture=parts), "train", answers=Answers(("red",)))
    assert (len(mixed), available(mixed)) == (3, 5)
    assert hasattr(mixed, "order")


def test_the_world_knows_its_answers(tmp_path):
    """It is too large to be counted, and no question needs to be looked at."""
    config = DataConfig(source="shapes", about="questions", caption_templates=("so: {}",),
                        on_error="skip")  # fmt: skip
    answers = build(config, tmp_path)
    source = build_source(config, "train", 32, answers)
    assert len(source) == 60_000_000
    record = annotation(source, 5)
    assert record["captions"][0].startswith("so: ")
    assert answers.scores(record["answers"]).max() == 1
    with pytest.raises(UserError, match=r"The answers lack 'yes', which questions of .*'train'"):
        build_source(config, "train", 32, Answers(("no",)))


def test_json_of_the_records_is_whole(tmp_path):
    """An answer of one letter and one of two bytes stay what they are in the kept file."""
    config = questions(tmp_path, [["é"], ["é"], ["x y"], ["x y"]])
    build(config, tmp_path / "run")
    kept = (tmp_path / "run" / "answers.txt").read_text(encoding="utf-8")
    assert json.dumps(kept) == json.dumps("é\nx y\n")
