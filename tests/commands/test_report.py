"""`python -m vlx report`: a page from a run folder."""

import json
import subprocess

from commands.call import vlx


def call(*words) -> subprocess.CompletedProcess:
    return vlx("report", *words)


def test_a_page_is_written_and_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"task": "any", "steps": 3}))
    lines = [json.dumps({"step": n, "loss": 1 / n}) + "\n" for n in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    page = tmp_path / "page.html"
    done = call(tmp_path, f"--output={page}")
    assert done.returncode == 0, done.stderr
    assert f"report written to {page}" in done.stdout
    assert "3 of 3 steps" in page.read_text()


def test_without_a_run_it_asks_for_one():
    done = call()
    assert done.returncode == 2
    assert "Give the folder of a run" in done.stderr
