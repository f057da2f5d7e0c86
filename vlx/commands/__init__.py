"""Commands of `python -m vlx`: name -> module with `define_flags` and `main`."""

from vlx.commands import tokenizer

COMMANDS = {"tokenizer": tokenizer}
