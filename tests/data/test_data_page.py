"""docs/data.md: its examples run, and its table of options is complete."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from vlx.data import SOURCES, DataConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "data.md").read_text()


def test_every_option_is_in_the_table():
    table = PAGE[PAGE.index("## Options") : PAGE.index("## Tokenizers")]
    assert set(re.findall(r"`(\w+)`", table)) >= {field.name for field in fields(DataConfig)}
    assert set(SOURCES) <= set(re.findall(r"`(\w+)`", PAGE[: PAGE.index("**Splits")]))


@pytest.mark.slow
def test_the_examples_run(tmp_path):
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL))
    (tmp_path / "page.py").write_text(f"{code}\nimport sys\nprint('tensorflow' in sys.modules)\n")
    command = [sys.executable, "page.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False"
    shown = [line.split()[:2] for line in done.stdout.splitlines() if "(" in line]
    assert ["jsonl", "64"] in shown
    assert ["csv", "64"] in shown
    assert ["parquet", "64"] in shown
    assert ["webdataset", "64"] in shown
    assert ["tfds", "64"] in shown
