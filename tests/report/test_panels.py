"""Examples in the report: what was kept is shown, beside its picture and marked as it should be."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from vlx.report import write_report


def section(html: str, name: str) -> str:
    return re.search(rf'<section id="{name}">.*?</section>', html, re.S)[0]


def kept(run, kind: str):
    return json.loads((run / "evaluations" / f"{kind}-val.json").read_text())


@pytest.fixture(scope="module")
def html(finished):
    return write_report([finished]).read_text()


def test_captions_stand_with_picture_probability_and_references(finished, html):
    captions = kept(finished, "captions")
    shown = section(html, "captions")
    assert shown.count("<article") == len(captions) == 13
    assert shown.count('src="data:image/jpeg;base64,') == 13
    for caption in captions:
        assert f'alt="example {caption["index"]}"' in shown
        assert f"{caption['score']:.1f}" in shown
        assert f"<li>{caption['references'][0]}</li>" in shown


@pytest.mark.parametrize("name", ["captions", "attention", "retrieval", "failures"])
def test_examples_say_the_step_that_they_are_of(html, name):
    (heading,) = re.findall(r"<h3>(.*?)</h3>", section(html, name), re.S)
    assert heading.split() == ["Split", "val,", "step", "9"]


def test_runs_side_by_side_say_all_steps(copied):
    one, other = copied(), copied("other")
    file = other / "evaluations" / "steps.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"captions-val": 12000}))
    shown = section(write_report([one, other]).read_text(), "captions")
    assert "Split val, steps 9 and 12,000" in shown
    file.unlink()  # as of a run of an earlier version
    assert "Split val</h3>" in section(write_report([one, other]).read_text(), "captions")


def test_retrieved_texts_and_images_are_marked_where_they_are_hits(finished, html):
    queries = kept(finished, "retrieval")
    hits = [x["hit"] for way in queries.values() for query in way for x in query["found"]]
    shown = section(html, "retrieval")
    assert shown.count('<li class="hit">') == sum(hits)
    assert shown.count("<li") == len(hits) == 50
    assert shown.count("<img") == 5 + 25


def test_every_word_has_a_veiled_picture(finished, html):
    readings = kept(finished, "attention")
    shown = section(html, "attention")
    words = [word for reading in readings for word in reading["words"]]
    assert shown.count('src="data:image/png;base64,') == len(words) > 4
    assert shown.count("--picture: url(data:image/jpeg;base64,") == len(readings) == 4


def test_failures_are_sorted_by_their_likelihood(finished, html):
    shown = section(html, "failures")
    values = [float(x) for x in re.findall(r'class="score">(-[\d.]+)<', shown)]
    assert values == sorted(values)
    assert len(values) == 12


def test_runs_write_beside_each_other(finished, copied):
    other = copied("other")
    captions = kept(other, "captions")
    for caption in captions:
        caption["text"] = f"another of {caption['index']}"
    (other / "evaluations" / "captions-val.json").write_text(json.dumps(captions))
    shown = section(write_report([other, finished]).read_text(), "captions")
    assert shown.count("<article") == 13
    for mine, theirs in zip(captions, kept(finished, "captions"), strict=True):
        assert mine["text"] in shown
        assert theirs["text"] in shown


def test_examples_without_pictures_keep_their_texts(copied):
    run = copied()
    for picture in (run / "evaluations" / "captions-val").iterdir():
        picture.unlink()
    shown = section(write_report([run]).read_text(), "captions")
    assert "<img" not in shown
    assert shown.count("no picture") == shown.count("<article") == 13


def test_nothing_written_is_said(copied):
    run = copied()
    file = run / "evaluations" / "captions-val.json"
    file.write_text(json.dumps([c | {"text": ""} for c in kept(run, "captions")]))
    assert section(write_report([run]).read_text(), "captions").count("(nothing)") == 13


@pytest.mark.parametrize("runs", [1, 6])
def test_a_page_of_large_noisy_pictures_stays_small(copied, runs):
    """No picture is larger than 224 pixels of noise; each example has one of its own."""
    folders = []
    for number in range(runs):
        run = copied(f"run{number}")
        folder = run / "evaluations"
        pixels = np.random.default_rng(number).integers(0, 256, (224, 224, 3), np.uint8)
        captions = [c | {"index": n} for n, c in enumerate(kept(run, "captions") * 4)]
        noisy = [folder / "captions-val" / f"{caption['index']}.jpg" for caption in captions]
        for picture in (*folder.glob("*/*.jpg"), *noisy):
            Image.fromarray(pixels).save(picture, quality=80)
        (folder / "captions-val.json").write_text(json.dumps(captions))
        folders.append(run)
    assert write_report(folders).stat().st_size < 5e6
