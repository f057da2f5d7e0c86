"""Becomes the commands that processes.py asks for: each is a fork of this process.

Importing JAX, Flax and orbax takes longer than most commands, so it is done once. No backend is
started before a fork. A request is a line of JSON on stdin; the answer is the command's process
number at once, and its exit code in the pipe that the request names.
"""

import gc
import json
import os
import runpy
import signal
import sys
from importlib import import_module

NEEDED = ("api", "cli", "commands", "constants", "evaluate", "initialise", "report", "subject",
          "train.loop", "train.summary")  # fmt: skip


def become(words: list[str], environment: dict[str, str], stdout: str, stderr: str, **_) -> None:
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


def keep(request: dict[str, str]) -> bool:
    """Waits for the command in a process between it and the server; false in the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    command = os.fork()
    if not command:
        become(**request)
        return False
    print(command, flush=True)
    code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    with open(request["code"], "w") as pipe:
        pipe.write(str(code))
    return True


signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
for name in NEEDED:
    import_module(f"vlx.{name}")
gc.freeze()  # else every command looks for garbage in all that is imported, and copies it so
gc.set_threshold(20_000, 20, 20)
for line in sys.stdin:
    if not os.fork():
        if keep(json.loads(line)):
            os._exit(0)
        break
