"""The command line: `python -m vlx COMMAND --help` shows what a command does."""

import sys

from vlx import cli
from vlx.commands import COMMANDS


def _overview() -> str:
    lines = [f"  {name:<12}{module.__doc__.splitlines()[0]}" for name, module in COMMANDS.items()]
    return "\n".join(["python -m vlx COMMAND [flags]", "", *lines])


def main() -> int:
    """Hands the command line to the command that it names; returns the exit code."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        wrong = name not in ("", "-h", "--help")
        print(f"error: no command is called {name!r}\n\n{_overview()}" if wrong else _overview())
        return cli.USER_ERROR if wrong else 0
    module = COMMANDS[name]
    if {"-h", "--help"} & set(sys.argv[2:]):
        print(module.__doc__)
        return 0
    module.define_flags()
    cli.define_common()
    sys.argv.pop(1)
    cli.main(module.main)
    return 0


if __name__ == "__main__":
    sys.exit(main())
