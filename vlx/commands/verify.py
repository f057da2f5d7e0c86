"""Tells whether two models hold the same numbers, whatever their formats.

    python -m vlx verify models/a for_open_clip [--tolerance=1e-6]

Each is a run, a model's folder or an official file. Prints the largest differences; exits with 2 if
one exceeds the tolerance.
"""

from pathlib import Path

from absl import flags
from rich.console import Console
from rich.table import Table

from vlx.errors import UserError

FLAGS = flags.FLAGS
SHOWN = 10


def define_flags() -> None:
    flags.DEFINE_float("tolerance", 0.0, "Largest difference that counts as none.")
    flags.DEFINE_string("model", "", "Preset, where neither has a config.")


def main(argv: list[str]) -> int:
    from vlx.interop.compare import compare

    if len(argv) != 3:
        raise UserError("Give two models: python -m vlx verify A B.")
    first, second = _read_both(*map(Path, argv[1:]))
    differences = compare(first.params, second.params)
    table = Table("parameter", "largest difference", "largest value", box=None)
    for d in [d for d in differences if d.largest != 0][:SHOWN]:
        table.add_row(d.path, f"{d.largest:.3g}", f"{d.scale:.3g}")
    if table.rows:
        Console(highlight=False).print(table)
    wrong = [d for d in differences if not d.largest <= FLAGS.tolerance]
    if wrong:
        raise UserError(
            f"{argv[1]} and {argv[2]} differ in {len(wrong)} of {len(differences)} arrays, most in "
            f"{wrong[0].path} by {wrong[0].largest:.3g}; --tolerance={FLAGS.tolerance:g}."
        )
    print(f"The same numbers in {len(differences)} arrays, to {FLAGS.tolerance:g}.")
    return 0


def _read_both(first: Path, second: Path):
    """Both models; a bare file takes the config of the other."""
    from vlx import weights

    try:
        one = weights.read(first, model=FLAGS.model)
    except UserError:
        two = weights.read(second, model=FLAGS.model)
        return weights.read(first, model=two.model.config), two
    return one, weights.read(second, model=one.model.config)
