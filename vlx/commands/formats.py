"""Lists the formats of weights that import, export and init_from know.

    python -m vlx formats

Their names are what --format takes.
"""

from rich.console import Console
from rich.table import Table


def define_flags() -> None:
    """There are none."""


def main(argv: list[str]) -> int:
    from vlx.interop import FORMATS

    table = Table("format", "what it is", "files that export writes", box=None)
    table.add_row("vlx", "vlx's own folder", "config.json, model.safetensors, vocabulary")
    for name, chosen in FORMATS.items():
        table.add_row(name, chosen.about, ", ".join(chosen.files))
    Console(highlight=False).print(table)
    return 0
