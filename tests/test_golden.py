"""Every golden file below the folders of VLX_GOLDEN passes the check of its kind."""

import os
from pathlib import Path

import pytest

from golden_checks import CHECKS, PENDING
from golden_checks.case import load

FOLDERS = os.environ.get("VLX_GOLDEN", str(Path(__file__).parent / "golden")).split(":")
FILES = sorted(
    path
    for folder in FOLDERS
    for path in Path(folder).rglob("*")
    if path.suffix in (".safetensors", ".json")
)


def test_there_are_golden_files():
    assert FILES, f"no golden files below {FOLDERS}"


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden(path, record_property):
    case = load(path)
    key = case.meta["system"], case.meta["kind"]
    if key in PENDING:
        pytest.skip(PENDING[key])
    assert key in CHECKS, f"{path}: no check for {key}"
    ratios = CHECKS[key](case)
    assert ratios
    worst = max(ratios, key=ratios.get)
    record_property("largest", f"{ratios[worst]:.3g} of the tolerance, {worst}")
    wrong = {name: round(ratio, 2) for name, ratio in ratios.items() if not ratio <= 1}
    assert not wrong, f"error / tolerance: {wrong}"
