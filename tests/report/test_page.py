"""The report: all of a run in one file that needs nothing else."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from vlx.errors import UserError
from vlx.report import write_report

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser finds: sections, texts, attributes; elements must be closed in order."""

    def __init__(self, html: str):
        super().__init__()
        self.sections, self.text, self.attributes, self.tags, self._open = [], "", [], [], []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag == "section":
            self.sections.append(dict(attributes)["id"])
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


def report(*folders) -> tuple[str, Page]:
    html = write_report(folders).read_text()
    return html, Page(html)


@pytest.fixture(scope="module")
def page(finished):
    return report(finished)


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.slow
def test_it_lies_in_the_run_and_is_small(finished, page):
    assert (finished / "report.html").stat().st_size < 5e6


def test_it_shows_every_part_of_a_run(page):
    assert page[1].sections == [
        "measures",
        "training",
        "validation",
        "captions",
        "attention",
        "retrieval",
        "failures",
        "config",
        "environment",
    ]
    links = [value for name, value in page[1].attributes if name == "href"]
    assert {f"#{name}" for name in page[1].sections} <= set(links)


def test_every_logged_metric_has_its_curve(finished, page):
    line = json.loads((finished / "metrics.jsonl").read_text().splitlines()[0])
    titles = re.findall(r"<figcaption>(.*?)</figcaption>", page[0])
    shown = {title.split(" (")[0].replace(" ", "_") for title in titles}
    assert set(line) - {"step", "skipped"} <= shown
    assert {"contrastive", "captioning", "learning_rate", "images_per_second"} <= set(line)


def test_measures_have_intervals_and_chance(finished, page):
    content = json.loads((finished / "evaluations" / "val-9.json").read_text())
    value, ends = (content[x]["zero_shot"]["top1"] for x in ("results", "intervals"))
    text = " ".join(page[1].text.split())
    assert f"top1 {value:.1%} [{ends[0]:.1%} to".replace("% to", " to") in text
    assert "20.0%" in text  # what guessing one of five classes reaches


def test_chance_has_no_column_where_no_measure_has_one(copied):
    run, head = copied(), '<th scope="col" class="value">chance</th>'
    file = run / "evaluations" / "val-9.json"
    assert head in report(run)[0]
    change(file, results={"captioning": json.loads(file.read_text())["results"]["captioning"]})
    assert head not in report(run)[0]


def test_nothing_outside_is_needed(page):
    html, parsed = page
    links = [v for k, v in parsed.attributes if k in ("src", "href", "srcset", "action", "data")]
    assert all(value.startswith(("data:", "#")) for value in links)
    assert "url(" not in re.sub(r"url\((data:|['\"]?#)", "", html)
    assert not {"script", "link", "iframe", "object", "base"} & set(parsed.tags)
    assert "@import" not in html


def test_names_in_a_page_are_unique(page):
    ids = [value for name, value in page[1].attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_a_figure_can_be_heard(page):
    drawings = page[1].tags.count("svg")
    labels = [v for k, v in page[1].attributes if k == "aria-label" and "from" in v]
    assert len(labels) == drawings > 5


def test_two_reports_of_a_run_are_equal(copied):
    run = copied()
    assert write_report([run]).read_bytes() == write_report([run]).read_bytes()


def test_runs_stand_side_by_side(copied, tmp_path):
    one, other = copied(), copied("other")
    change(other / "config.json", seed=7)
    html = write_report([one, other], tmp_path / "new" / "both.html").read_text()
    parsed = Page(html)
    assert "seed" in re.search(r'<tr class="differs">.*?</tr>', html, re.S)[0]
    assert html.count('<tr class="differs">') == 1
    assert html.index('<tr class="differs">') < html.index(">model.")
    assert html.count("stroke: var(--run-1)") == html.count("stroke: var(--run-0)") > 5
    assert "other" in parsed.text
    assert "tiny" in parsed.text


def test_runs_of_one_name_are_told_apart(copied, tmp_path):
    (tmp_path / "b").mkdir()
    one, other = copied(), copied("b/tiny")
    text = report(one, other)[1].text
    assert str(one) in text
    assert str(other) in text


def test_what_is_missing_leaves_no_trace(copied):
    run = copied()
    shutil.rmtree(run / "evaluations")
    (run / "environment.json").unlink()
    assert set(report(run)[1].sections) == {"training", "validation", "config"}


def test_an_evaluation_alone_has_a_report(copied):
    run = copied()
    (run / "metrics.jsonl").unlink()
    sections = report(run)[1].sections
    assert "measures" in sections
    assert "training" not in sections


def test_a_model_that_was_measured_alone_has_a_report(copied):
    run = copied()
    for name in ("config.json", "environment.json", "metrics.jsonl"):
        (run / name).unlink()
    sections = report(run)[1].sections
    assert "captions" in sections
    assert "config" not in sections


def test_long_runs_stay_small_and_keep_their_peaks(copied):
    run = copied()
    lines = [{"step": n, "loss": 1.0 + 8 * (n == 70_001)} for n in range(1, 100_000)]
    lines.append({"step": 100_000, "loss": "nan"})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    html, _ = report(run)
    figure = re.search(r"<figcaption>loss</figcaption>.*?</svg>", html, re.S)[0]
    assert len(figure) < 60_000
    assert ">8</text>" in figure  # on the axis


EVIL = "<script>alert(1)</script>&'\"><img src=x onerror=alert(2)>"


def test_what_users_write_is_text(copied):
    run = copied()
    for folder in (run / "evaluations").glob("captions-*.json"):
        captions = json.loads(folder.read_text())
        folder.write_text(json.dumps([c | {"text": EVIL, "references": [EVIL]} for c in captions]))
    change(run / "environment.json", command=[EVIL])
    change(run / "evaluations" / "val-9.json", results={EVIL: {EVIL: 0.5}})
    with (run / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps({"step": 9 + n, EVIL: 0.5}) + "\n" for n in (1, 2))
    _, parsed = report(run)
    assert "script" not in parsed.tags
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert EVIL in parsed.text


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "not the folder of a run.*--workdir"),
        (lambda run: (run / "config.json").write_text('{"a": 1}'), "not the folder of a run"),
        (lambda run: (run / "config.json").write_text("{"), r"config\.json is no JSON.*remove it"),
        (
            lambda run: [
                p.unlink() for p in (*run.glob("evaluations/*.json"), run / "metrics.jsonl")
            ],
            "no metrics and no evaluations yet; train it, or measure it with eval.py",
        ),
    ],
)
def test_what_is_no_run_is_refused(copied, spoil, message):
    run = copied()
    spoil(run)
    with pytest.raises(UserError, match=message):
        write_report([run])


def test_runs_of_different_kinds_are_refused(finished, copied):
    other = copied("other")
    change(other / "config.json", task="another")
    with pytest.raises(UserError, match=r"run of 'coca', .*other one of 'another'; make a report"):
        write_report([finished, other])


def test_a_page_of_too_many_runs_is_refused(finished):
    with pytest.raises(UserError, match=r"7 runs are more.*give 6 at most"):
        write_report([finished] * 7)


def test_an_unwritable_place_is_named(copied, tmp_path):
    with pytest.raises(UserError, match=r"--output=.* cannot be written"):
        write_report([copied()], tmp_path)
