"""Becomes the commands that processes.py asks for: each is a fork of this process.

Importing JAX, Flax and orbax takes longer than most commands, so it is done once. No backend is
started before a fork. A request is a line of JSON on stdin; the answer is the exit code.
"""

import json
import os
import runpy
import sys
from importlib import import_module

NEEDED = ("api", "cli", "commands", "constants", "evaluate", "initialise", "report", "subject",
          "train.loop", "train.summary")  # fmt: skip


def run(words: list[str], environment: dict[str, str], stdout: str, stderr: str) -> None:
    """Does what `python WORDS` does."""
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate((os.devnull, stdout, stderr)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


for name in NEEDED:
    import_module(f"vlx.{name}")
for line in sys.stdin:
    child = os.fork()
    if not child:
        run(**json.loads(line))
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
