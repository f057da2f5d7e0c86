"""Commands of `python -m vlx`: name -> module with `define_flags` and `main`."""

from vlx.commands import (
    export_weights,
    formats,
    import_weights,
    report,
    tokenizer,
    verify,
)

COMMANDS = {
    "export": export_weights,
    "formats": formats,
    "import": import_weights,
    "report": report,
    "tokenizer": tokenizer,
    "verify": verify,
}
