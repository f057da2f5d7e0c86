"""Answers in the report: question, answer, what people said, and all pictures of a statement."""

import json
import re
from base64 import b64decode
from html import escape
from io import BytesIO
from shutil import copytree

import pytest
from PIL import Image
from report.answering_runs import measured, tokenizer

from vlx.report import write_report


def section(html: str, name: str) -> str:
    return re.search(rf'<section id="{name}">.*?</section>', html, re.S)[0]


def kept(run, kind: str):
    return json.loads((run / "evaluations" / f"{kind}-val.json").read_text())


def keep(run, kind: str, examples) -> None:
    (run / "evaluations" / f"{kind}-val.json").write_text(json.dumps(examples))


def pictures(html: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', html)
    return [Image.open(BytesIO(b64decode(each))) for each in found]


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("answers") / "questions", "questions", "answers")


@pytest.fixture(scope="module")
def statements(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("answers") / "pairs", "pairs", "truth")


def test_questions_stand_with_picture_answer_and_what_people_said(questions):
    examples = kept(questions, "answers")
    shown = section(write_report([questions]).read_text(), "answers")
    assert shown.count("<article") == len(examples) == 16
    assert {picture.size for picture in pictures(shown)} == {(48, 36)}
    assert len(pictures(shown)) == 16
    for example in examples:
        assert f'<p class="asked">{escape(example["text"])}</p>' in shown
        assert f'<p class="references">expected: {example["expected"][0]}</p>' in shown


def test_answers_are_marked_by_what_they_are_worth(questions, tmp_path):
    run = copytree(questions, tmp_path / "run")
    example = kept(run, "answers")[0]
    cases = {0.0: ["no"] * 3, 0.3: ["no", "no", "red"], 1.0: ["red"] * 4 + ["<b>"]}
    changed = [
        example | {"index": n, "answer": "red", "expected": cases[score], "score": score}
        for n, score in enumerate(cases)
    ]
    keep(run, "answers", changed)
    shown = section(write_report([run]).read_text(), "answers")
    none, some, full = re.findall(r"<article.*?</article>", shown, re.S)
    assert '<p class="written">red</p>' in none
    assert "no (3)" in none
    assert '<p class="written hit">red ✓ <span class="score">0.3</span></p>' in some
    assert "no (2), red" in some
    assert '<p class="written hit">red ✓</p>' in full
    assert "red (4), &lt;b&gt;" in full


def test_without_annotations_answers_stand_alone(questions, tmp_path):
    run = copytree(questions, tmp_path / "run")
    keep(run, "answers", [x | {"expected": [], "score": 0.0} for x in kept(run, "answers")])
    shown = section(write_report([run]).read_text(), "answers")
    assert 'class="references"' not in shown
    assert shown.count('<p class="written">') == 16


def test_statements_about_two_pictures_show_both(statements):
    examples = kept(statements, "statements")
    shown = section(write_report([statements]).read_text(), "statements")
    assert shown.count("<article") == len(examples) == 16
    assert len(pictures(shown)) == 32
    assert {picture.size for picture in pictures(shown)} == {(48, 36)}
    assert 'alt="example 0, picture 2 of 2"' in shown
    assert shown.count(" ✓</p>") == sum(example["score"] for example in examples)
    truths = re.findall(r'<p class="references">expected: (.*?)</p>', shown)
    assert truths == [example["expected"][0] for example in examples]


def test_a_statement_about_one_picture_shows_it_once(statements, tmp_path):
    run = copytree(statements, tmp_path / "run")
    for path in (run / "evaluations" / "statements-val").iterdir():
        Image.new("RGB", (48, 36)).save(path)
    shown = section(write_report([run]).read_text(), "statements")
    assert len(pictures(shown)) == 16
    assert "picture 1 of" not in shown


def test_runs_answer_beside_each_other(questions, tmp_path):
    other = measured(tmp_path / "other", "questions", "answers", seed=1)
    keep(other, "answers", [x | {"answer": f"n{x['index']}"} for x in kept(other, "answers")])
    html = write_report([questions, other], tmp_path / "both.html").read_text()
    shown = section(html, "answers")
    assert shown.count("<article") == 16
    for example in kept(questions, "answers"):
        assert f"</span>{example['answer']}" in shown
        assert f"</span>n{example['index']}" in shown


def test_a_section_appears_only_where_something_was_kept(questions, statements):
    html = write_report([questions]).read_text()
    assert 'href="#answers"' in html
    assert "statements" not in re.search(r"<nav.*?</nav>", html, re.S)[0]
    assert 'id="answers"' not in write_report([statements]).read_text()


def test_a_visual_tokenizer_has_a_report(tmp_path):
    run = tokenizer(tmp_path / "codes")
    lines = [{"step": n, "loss": 0.5, "reconstruction": 0.5, "uniformity": 0.1} for n in (1, 2)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    html = write_report([run]).read_text()
    found = re.findall(r'<section id="(\w+)"', html)
    assert found == ["measures", "training", "config", "environment"]
    for name in ("reconstruction", "uniformity"):
        assert f"<figcaption>{name}</figcaption>" in html
