"""How the parts of the library may depend on each other, read from their syntax trees."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text())
    for path in sorted((ROOT / "vlx").rglob("*.py"))
}
SYSTEMS = {"coca", "vlmo", "beit", "beit3", "fiber", "prismer"}
MAY_NAME_SYSTEMS = ("models", "tasks", "interop", "configs")
MODELS = {"layers", "models"}
FORBIDDEN = {  # package -> packages that it must not import
    "layers": {"models", "tasks", "train", "objectives", "data", "decode", "evaluate", "interop"},
    "models": {"tasks", "train", "objectives", "data", "decode", "evaluate", "interop", "report"},
    "objectives": {*MODELS, "tasks", "train", "data", "decode", "evaluate", "interop", "report"},
    "parallel": {*MODELS, "tasks", "train", "data", "decode", "evaluate", "interop", "report"},
    "data": {*MODELS, "tasks", "train", "objectives", "parallel", "decode", "evaluate", "interop"},
    "tasks": {"train", "data", "decode", "evaluate", "interop", "report"},
    "train": {"decode", "evaluate", "interop", "report"},
    "decode": {"tasks", "train"},
    "interop": {"tasks", "train"},
}


def package(name: str) -> str:
    """The part of the library that a path or a module belongs to: its folder, or the file."""
    return re.split(r"[./]", name)[1].removesuffix(".py") if re.search(r"[./]", name) else ""


def imports(name: str, tree: ast.AST) -> set[str]:
    """Modules of the library that a file imports, at its top or later."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import; write the whole name"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {x if module_file(x) else node.module for x in full}
    return {x for x in found if x == "vlx" or x.startswith("vlx.")}


def module_file(module: str) -> str | None:
    path = module.replace(".", "/")
    return next((f for f in (f"{path}.py", f"{path}/__init__.py") if f in FILES), None)


def identifiers(tree: ast.AST) -> set[str]:
    """Every name that code gives or uses; texts and comments are not among them."""
    found = set()
    for node in ast.walk(tree):
        for field in ("id", "name", "attr", "arg", "asname", "module"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                found.add(value)
    return found


def words(identifier: str) -> set[str]:
    """coca_task, CocaTask and vlx.tasks.coca all hold the word coca."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier)
    return {word.lower() for word in re.split(r"[._]", spaced)}


def test_there_are_files():
    assert len(FILES) > 50


@pytest.mark.parametrize("name", FILES)
def test_only_models_tasks_and_formats_name_a_system(name):
    if package(name) in MAY_NAME_SYSTEMS:
        return
    named = {x for x in identifiers(FILES[name]) if words(x) & SYSTEMS}
    assert not named, f"{name} names a system: {sorted(named)}"


@pytest.mark.parametrize("name", [name for name in FILES if package(name) in FORBIDDEN])
def test_imports_run_one_way(name):
    wrong = {x for x in imports(name, FILES[name]) if package(x) in FORBIDDEN[package(name)]}
    assert not wrong, f"{name} imports {sorted(wrong)}"


def test_imports_have_no_circles():
    graph = {
        name: {module_file(x) for x in imports(name, tree)} - {None} for name, tree in FILES.items()
    }
    done: set[str] = set()

    def visit(name, above):
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name not in done:
            for below in sorted(graph[name]):
                visit(below, [*above, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def test_names_are_taken_apart():
    """The measure of the tests above finds what it is to find."""
    tree = ast.parse("from vlx.models.coca import Coca as C\nuse_vlmo = FiberTask(beit3_x=1)")
    found = {word for x in identifiers(tree) for word in words(x)} & SYSTEMS
    assert found == {"coca", "vlmo", "fiber", "beit3"}
    assert not words("cocaine_prism") & SYSTEMS
    assert imports("x.py", tree) == {"vlx.models.coca"}
    assert (package("vlx/models/coca.py"), package("vlx.config")) == ("models", "config")


@pytest.mark.parametrize("module", ["vlx", "vlx.train.config", "vlx.tasks", "vlx.data"])
def test_imports_start_no_backend(module):
    """Devices are first asked for by a run: their number can still be set after an import."""
    code = (
        f"import {module}, jax\n"
        "jax.config.update('jax_platforms', 'cpu')\n"
        "jax.config.update('jax_num_cpu_devices', 3)\n"  # refused once a backend runs
        "assert jax.device_count() == 3"
    )
    environment = {"PATH": "/usr/bin:/bin", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("path", sorted(ROOT.glob("vlx/**/*.py")), ids=lambda p: p.name)
def test_files_are_short_and_say_what_they_hold(path):
    assert len(path.read_text().splitlines()) < 500, "split it: it holds more than one thing"
    vague = {"utils", "common", "helpers", "misc", "base"}
    assert path.stem not in vague, "name it after what it holds"
    assert len(path.relative_to(ROOT / "vlx").parts) <= 3, "folders are two levels deep at most"


@pytest.mark.parametrize("name", FILES)
def test_every_file_opens_with_what_it_is(name):
    text = ast.get_docstring(FILES[name])
    assert text or not FILES[name].body, f"{name} has no docstring"
