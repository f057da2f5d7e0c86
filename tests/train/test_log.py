"""Logs: the metrics file is exact whatever happened to the process before."""

import json
import math
import os

import pytest

from vlx.errors import UserError
from vlx.train.config import LogConfig
from vlx.train.log import Logger, MetricsFile, read_metrics

STEPS = 40


@pytest.fixture
def logger(tmp_path):
    """A function that makes a started logger; all are closed in the end."""
    made = []

    def make(step: int = 0, **config) -> Logger:
        logger = Logger(tmp_path, LogConfig(**{"tensorboard": False} | config), STEPS)
        logger.start(step)
        made.append(logger)
        return logger

    yield make
    for one in made:
        one.close()


def steps(tmp_path):
    return [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")]


def test_lines_are_on_disk_as_soon_as_they_are_written(tmp_path, logger):
    logger().metrics(3, {"loss": 0.5})
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 3, "loss": 0.5}]


def test_a_resumed_run_drops_what_came_after_its_checkpoint(tmp_path, logger):
    first = logger()
    for step in (3, 5, 5, 7):
        first.metrics(step, {"loss": 1.0})
    first.close()
    logger(5).metrics(7, {"loss": 2.0})
    assert steps(tmp_path) == [3, 5, 5, 7]
    assert read_metrics(tmp_path / "metrics.jsonl")[-1]["loss"] == 2.0


def test_a_torn_line_is_dropped(tmp_path, logger):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 3, "loss": 1.0}\n{"step": 5, "lo')
    assert steps(tmp_path) == [3]
    logger(5).metrics(7, {"loss": 2.0})
    assert steps(tmp_path) == [3, 7]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_has_no_number_for_is_written_as_text(tmp_path, logger, value):
    logger().metrics(3, {"loss": value})
    line = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=pytest.fail)
    assert line["loss"] == str(value)


def test_tensorboard_mirrors_the_metrics(tmp_path, logger):
    one = logger(tensorboard=True)
    one.metrics(3, {"loss": 0.5, "worst": math.nan})
    one.close()
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"loss" in events.read_bytes()


def test_lines_are_plain_without_a_terminal(logger, capsys):
    logger().metrics(3, {"loss": 0.5})
    out = capsys.readouterr().out
    assert out.splitlines() == [f"step 3/{STEPS}  loss 0.5"]


def test_a_terminal_shows_progress(logger, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # how rich is told of a terminal
    monkeypatch.setenv("COLUMNS", "100")
    one = logger()
    one.advance(7)
    one.metrics(7, {"loss": 0.5, "images_per_second": 123.0})
    one.metrics(7, {"retrieval/image_to_text_r1": 0.25})
    one.close()
    out = capsys.readouterr().out
    assert "training" in out
    assert f"7/{STEPS}" in out
    assert "loss 0.5  images_per_second 123" in out
    assert "image_to_text_r1 0.25" in out


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(UserError, match=r"metrics\.jsonl cannot be written: Is a directory"):
        MetricsFile(tmp_path / "metrics.jsonl").start(0)


def test_a_full_disk_is_told(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.start(0)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, file._file.fileno())
    os.close(full)
    with pytest.raises(UserError, match=r"metrics\.jsonl cannot be written: No space left"):
        file.write(3, {"loss": 0.5})
    file.close()
