"""Commands of `python -m vlx`: name -> module with `define_flags` and `main`."""

from vlx.commands import (
    aot,
    caption,
    codes,
    export_weights,
    formats,
    import_weights,
    report,
    search,
    tokenizer,
    verify,
)

COMMANDS = {
    "aot": aot,
    "caption": caption,
    "codes": codes,
    "export": export_weights,
    "formats": formats,
    "import": import_weights,
    "report": report,
    "search": search,
    "tokenizer": tokenizer,
    "verify": verify,
}
