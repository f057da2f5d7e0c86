"""Results: kept as numbers, shown with their intervals and what guessing would reach."""

import json

from rich.console import Console

from vlx.evaluate.captioning import Caption, save
from vlx.evaluate.measured import Metrics
from vlx.evaluate.results import show, show_captions, write

RECALL = {"image_to_text_r1": 0.25, "image_to_text_median": 6.0, "chance": 0.125}
RESULTS = {"retrieval": Metrics(RECALL, {"image_to_text_r1": (0.1875, 0.375)})}


def test_file_holds_what_was_measured(tmp_path):
    path = write(tmp_path, 30, "val", RESULTS)
    assert path == tmp_path / "evaluations" / "val-30.json"
    assert json.loads(path.read_text()) == {
        "step": 30,
        "split": "val",
        "results": {"retrieval": RECALL},
        "intervals": {"retrieval": {"image_to_text_r1": [0.1875, 0.375]}},
    }


def test_table_shows_chance_beside_first_ranks(capsys):
    show(RESULTS, "a run", Console(width=80))
    lines = capsys.readouterr().out.splitlines()
    assert [("25.0%" in x and "12.5%" in x) for x in lines if "r1" in x] == [True]
    assert [("12.5%" in x) for x in lines if "median" in x] == [False]


def test_table_shows_the_interval_of_what_has_one(capsys):
    show(RESULTS, "a run", Console(width=80))
    lines = capsys.readouterr().out.splitlines()
    assert [("18.8 to 37.5%" in x) for x in lines if "r1" in x] == [True]
    assert [(" to " in x) for x in lines if "median" in x] == [False]


def test_only_shares_are_shown_as_such(capsys):
    metrics = {"way_median": 6.0, "way_mean": 12.25, "weight_decay": 1e-3, "top5": 0.5}
    show({"probe": Metrics(metrics)}, "a run", Console(width=80))
    lines = capsys.readouterr().out.splitlines()
    shown = {x.split()[3]: x.split()[5] for x in lines if "probe" in x}
    assert shown == {
        "way_median": "6",
        "way_mean": "12.2",
        "weight_decay": "0.001",
        "top5": "50.0%",
    }


def test_losses_are_no_shares(capsys):
    show({"losses": Metrics({"words": 1.0429})}, "a run", Console(width=80))
    assert "1.043" in capsys.readouterr().out


def test_results_of_other_evaluators_stay(tmp_path):
    write(tmp_path, 30, "val", RESULTS)
    path = write(tmp_path, 30, "val", {"zero_shot": Metrics({"top1": 0.5}, {"top1": (0.4, 0.6)})})
    content = json.loads(path.read_text())
    assert content["results"] == {"retrieval": RECALL, "zero_shot": {"top1": 0.5}}
    assert set(content["intervals"]) == {"retrieval", "zero_shot"}


def test_captions_stand_beside_their_references(tmp_path):
    file = tmp_path / "captions-val.json"
    captions = [Caption(i, f"written {i}", -1.0, (f"given {i}", "another")) for i in range(40)]
    save(file, captions)
    console = Console(width=80, record=True)
    show_captions(file, most=4, console=console)
    rows = [line.split("│") for line in console.export_text().splitlines() if "given" in line]
    words = [[word.strip() for word in row[1:-1]] for row in rows]
    assert words == [[str(i), f"written {i}", f"given {i}"] for i in (0, 10, 20, 30)]
