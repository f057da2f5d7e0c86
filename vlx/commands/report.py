"""Writes a run, or several side by side, as one HTML page that needs nothing else.

    python -m vlx report runs/a
    python -m vlx report runs/a runs/b --output=compared.html

Without --output it is report.html in the first folder. Curves come from training, measures and
examples from eval.py.
"""

from pathlib import Path

from absl import flags

from vlx.errors import UserError

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("output", None, "The HTML file.")


def main(argv: list[str]) -> int:
    from vlx.report import write_report

    folders = [Path(word) for word in argv[1:]]
    if not folders:
        raise UserError("Give the folder of a run, or several: python -m vlx report runs/a.")
    path = write_report(folders, Path(FLAGS.output) if FLAGS.output else None)
    print(f"report written to {path} ({path.stat().st_size / 2**20:.1f} MiB)")
    return 0
