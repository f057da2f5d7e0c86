"""train.py and eval.py from outside: exit codes, and what stands on stdout and stderr."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import ROOT, environment, forked, python

from tiny_run import lines, settings, write_pictures, write_recipe

PATIENCE = 600  # seconds; a loaded machine compiles slowly


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    pictures = write_pictures(folder / "pictures")
    evaluate = {"every": 0, "names": ("retrieval",)}
    values = settings(pictures, steps=40, checkpoint={"every": 20}, evaluate=evaluate)
    return write_recipe(folder, values)


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("train.py", ("--config=nowhere.py", "--workdir=RUN"), "nowhere.py: there is no such file"),
        ("train.py", ("--config=RECIPE",), "Give a folder for the run: --workdir=runs/a"),
        (
            "train.py",
            ("--config=RECIPE", "--workdir=RUN", "--config.optimizer.lrs=1"),
            "config.optimizer.lrs is unknown; did you mean 'lr'?",
        ),
        (
            "train.py",
            ("--config=RECIPE", "--workdir=RUN", "--config.data.path=nowhere"),
            "nowhere",
        ),
        ("eval.py", ("--workdir=RUN",), "holds no config.json: it is not the folder of a run"),
    ],
)
def test_a_mistake_ends_with_one_message_and_code_2(tmp_path, recipe, name, flags, message):
    words = [f.replace("RECIPE", str(recipe)).replace("RUN", str(tmp_path / "run")) for f in flags]
    done = forked(name, *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_debug_shows_the_trace(tmp_path):
    done = forked("train.py", "--config=nowhere.py", f"--workdir={tmp_path}", "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_dry_run_prints_the_cost_and_makes_nothing(tmp_path, recipe):
    done = forked("train.py", f"--config={recipe}", f"--workdir={tmp_path / 'run'}", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert "image/patches/projection/kernel" in done.stdout
    for word in ("parameters ", "MiB a device", "GFLOP", "320 examples"):
        assert word in done.stdout
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, recipe) -> Path:
    workdir = tmp_path_factory.mktemp("finished") / "run"
    words = "train.py", f"--config={recipe}", f"--workdir={workdir}"
    done = python(*words, PYTHONWARNINGS="default")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # what libraries say of themselves is not for users
    *steps, last = done.stdout.splitlines()
    assert all(line.startswith("step ") for line in steps)
    assert last == f"Finished 40 steps. Checkpoints, metrics and config are in {workdir}."
    return workdir


@pytest.mark.slow
def test_a_signal_saves_and_the_same_command_goes_on(tmp_path, recipe, finished):
    words = "train.py", f"--config={recipe}", f"--workdir={tmp_path}"
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment(PYTHONWARNINGS="default"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE
    while not lines(tmp_path) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 75, err
    assert "Stopped by a signal after step" in out
    assert err.splitlines() == [
        "Stopping after the step in progress and a checkpoint; a second signal does not wait."
    ]
    again = forked(*words)
    assert again.returncode == 0, again.stderr
    assert f"Resuming {tmp_path} after step" in again.stdout
    assert lines(tmp_path) == lines(finished)


def test_eval_needs_nothing_but_the_run(finished):
    words = "eval.py", f"--workdir={finished}", "--names=retrieval", "--step=20"
    done = python(*words, PYTHONWARNINGS="default")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "image_to_text_r1" in done.stdout
    (path,) = (finished / "evaluations").glob("val-20.json")
    assert json.loads(path.read_text())["results"].keys() == {"retrieval"}


def test_eval_takes_other_settings_than_the_runs(finished):
    done = forked(
        "eval.py",
        f"--workdir={finished}",
        "--names=captioning",
        "--config.evaluate.examples=4",
        "--config.evaluate.decode.max_length=5",
    )
    assert done.returncode == 0, done.stderr
    captions = json.loads((finished / "evaluations" / "captions-val.json").read_text())
    assert len(captions) == 4
    assert captions[0]["text"] in done.stdout


def test_results_on_other_data_stand_beside_the_runs(finished, tmp_path):
    path = write_pictures(tmp_path / "elsewhere")
    words = f"--workdir={finished}", "--names=zero_shot"
    done = forked("eval.py", *words, f"--config.data.path={path}")
    assert done.returncode == 0, done.stderr
    kept = json.loads((finished / "evaluations" / "val-elsewhere-40.json").read_text())
    assert kept["settings"] == {"data.path": str(path)}
    assert "val-elsewhere" in (finished / "report.html").read_text()
    refused = forked("eval.py", *words, "--save_as=val-elsewhere")
    assert refused.returncode == 2
    assert f"something else (data.path: {path}, now the run's own)" in refused.stderr


def test_eval_measures_a_model_like_the_run_that_it_is_of(finished, recipe, tmp_path):
    forked("eval.py", f"--workdir={finished}", "--names=zero_shot,captioning")
    model = tmp_path / "model"
    done = forked("-m", "vlx", "export", str(finished), f"--output={model}")
    assert done.returncode == 0, done.stderr
    flags = f"--config={recipe}", f"--workdir={tmp_path / 'out'}", "--names=zero_shot,captioning"
    refused = forked("eval.py", f"--model={model}", *flags, "--step=3")
    assert refused.returncode == 2
    assert "--step=3 is for runs" in refused.stderr
    done = forked("eval.py", f"--model={model}", *flags)
    assert done.returncode == 0, done.stderr
    want = json.loads((finished / "evaluations" / "val-40.json").read_text())["results"]
    got = json.loads((tmp_path / "out" / "evaluations" / "val-0.json").read_text())["results"]
    assert got == {name: want[name] for name in got}
    assert f"report: {tmp_path / 'out' / 'report.html'}" in done.stdout


def test_a_run_goes_on_without_its_recipe(finished):
    done = forked("train.py", f"--workdir={finished}")
    assert done.returncode == 0, done.stderr
    assert "has finished all of its 40 steps" in done.stdout


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--step=first", "--step=first: give a number, latest, or best."),
        ("--config.evaluate.exampels=4", "did you mean 'examples'?"),
        ("--names=retrival", "did you mean 'retrieval'?"),
        ("--step=7", "has no step 7; there are [20, 40]"),
    ],
)
def test_eval_refuses_what_the_run_has_not(finished, flag, message):
    done = forked("eval.py", f"--workdir={finished}", flag)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_before_there_is_anything_to_save_ends_a_command_too(number):
    script = (
        "import os, signal; from vlx import cli; cli.define_common(); "
        f"cli.main(lambda argv: os.kill(os.getpid(), signal.{number}))"
    )
    done = python("-c", script, PYTHONWARNINGS="default")
    assert done.returncode == 75
    assert done.stderr == "error: stopped by a signal.\n"
