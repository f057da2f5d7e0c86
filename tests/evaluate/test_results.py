"""Results: kept as numbers, shown with their intervals and what guessing would reach."""

import json
from dataclasses import asdict, replace

import pytest
from rich.console import Console

from vlx.errors import UserError
from vlx.evaluate.captioning import Caption
from vlx.evaluate.measured import Metrics
from vlx.evaluate.names import check_name, name_of, other_settings
from vlx.evaluate.results import show, show_captions, write

from tiny_run import config

RECALL = {"image_to_text_r1": 0.25, "image_to_text_median": 6.0, "chance": 0.125}
RESULTS = {"retrieval": Metrics(RECALL, {"image_to_text_r1": (0.1875, 0.375)})}


def test_file_holds_what_was_measured(tmp_path):
    path = write(tmp_path, 30, "val", RESULTS)
    assert path == tmp_path / "evaluations" / "val-30.json"
    assert json.loads(path.read_text()) == {
        "step": 30,
        "split": "val",
        "name": "val",
        "settings": {},
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


def test_a_column_without_an_entry_is_left_out(capsys):
    show({"losses": Metrics({"words": 1.0429})}, "a run", Console(width=80))
    told = capsys.readouterr().out
    assert "value" in told
    assert "chance" not in told
    assert "interval" not in told


def test_results_of_other_evaluators_stay(tmp_path):
    write(tmp_path, 30, "val", RESULTS)
    path = write(tmp_path, 30, "val", {"zero_shot": Metrics({"top1": 0.5}, {"top1": (0.4, 0.6)})})
    content = json.loads(path.read_text())
    assert content["results"] == {"retrieval": RECALL, "zero_shot": {"top1": 0.5}}
    assert set(content["intervals"]) == {"retrieval", "zero_shot"}


OTHER = {"data.path": "/data/flickr"}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "val"),
        (OTHER, "val-flickr"),
        (OTHER | {"data.source": "jsonl", "data.text_column": "words"}, "val-flickr"),
        ({"data.path": "other/some captions.jsonl"}, "val-some_captions.jsonl"),
        ({"data.source": "coco"}, "val-coco"),
        ({"data.resize_mode": "squash", "data.objects": [1, 2]}, "val-objects_1_2-squash"),
        ({"data.image_folder": ""}, "val-image_folder"),
    ],
)
def test_a_name_tells_other_data_from_the_runs(settings, name):
    assert name_of("val", settings) == name


def test_only_what_changes_the_data_is_told_apart(tmp_path):
    own = config(tmp_path)
    faster = config(tmp_path, data={"threads": 3, "prefetch": 5}, evaluate={"batch_size": 64})
    assert other_settings(own, faster) == {}
    assert other_settings(own, config(tmp_path / "b")) == {"data.path": str(tmp_path / "b")}
    parts = [replace(own, groups={"a": {"size": 8, "data": {"path": p}}}) for p in ("x", "y")]
    assert other_settings(*parts) == {"groups.a.data.path": "y"}


def test_results_of_other_data_have_a_file_of_their_own(tmp_path):
    write(tmp_path, 30, "val", RESULTS)
    path = write(tmp_path, 30, "val", RESULTS, "val-flickr", OTHER)
    assert path.name == "val-flickr-30.json"
    assert json.loads(path.read_text())["settings"] == OTHER
    write(tmp_path, 40, "val", RESULTS, "val-flickr", OTHER)
    write(tmp_path, 40, "val", RESULTS)


@pytest.mark.parametrize("step", [30, 40])  # for kept examples have no step in their names
def test_no_name_stands_for_two_kinds_of_data(tmp_path, step):
    write(tmp_path, 30, "val", RESULTS)
    before = (tmp_path / "evaluations" / "val-30.json").read_text()
    message = r"val-30\.json holds .* \(data\.path: the run's own, now /data/flickr\).*--save_as"
    with pytest.raises(UserError, match=message):
        write(tmp_path, step, "val", RESULTS, "val", OTHER)
    assert (tmp_path / "evaluations" / "val-30.json").read_text() == before


@pytest.mark.parametrize("name", ["a/b", "../a", "", "a b"])
def test_a_name_that_is_no_files_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="becomes a part of files' names"):
        check_name(tmp_path, name, {})


def test_captions_stand_beside_their_references(tmp_path):
    file = tmp_path / "captions-val.json"
    captions = [Caption(i, f"written {i}", -1.0, (f"given {i}", "another")) for i in range(40)]
    file.write_text(json.dumps([asdict(caption) for caption in captions]))
    console = Console(width=80, record=True)
    show_captions(file, most=4, console=console)
    rows = [line.split("│") for line in console.export_text().splitlines() if "given" in line]
    words = [[word.strip() for word in row[1:-1]] for row in rows]
    assert words == [[str(i), f"written {i}", f"given {i}"] for i in (0, 10, 20, 30)]
