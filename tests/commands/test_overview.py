"""The command line as a whole: what `python -m vlx` says of itself."""

import pytest
from commands.call import vlx

from vlx.commands import COMMANDS


def test_without_a_command_all_are_listed():
    done = vlx()
    assert done.returncode == 0
    for name, module in COMMANDS.items():
        assert f"  {name:<12}{module.__doc__.splitlines()[0]}" in done.stdout


def test_an_unknown_command_is_named():
    done = vlx("exprot")
    assert done.returncode == 2
    assert "no command is called 'exprot'" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(name):
    assert f"    python -m vlx {name}" in COMMANDS[name].__doc__


def test_help_is_printed():
    done = vlx("verify", "--help")
    assert done.returncode == 0
    assert done.stdout.strip() == COMMANDS["verify"].__doc__.strip()
