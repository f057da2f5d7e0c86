"""Writes a caption for each picture.

    python -m vlx caption photo.jpg other.png --model=runs/a [--beams=4] [--prefix="a photo of"]

The model is a run, or a folder that `python -m vlx export` or `import` made. One line a picture:
its path, a tabulator, the caption.
"""

from absl import flags

from vlx.errors import UserError

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("model", None, "A run, or the folder of a model.")
    flags.DEFINE_integer("beams", 1, "More than 1 searches for a likely whole sentence.")
    flags.DEFINE_string("prefix", "", "What every caption begins with.")


def main(argv: list[str]) -> int:
    from vlx import api
    from vlx.decode import DecodeOptions
    from vlx.parallel.start import keep_compiled_programs

    if len(argv) < 2 or not FLAGS.model:
        raise UserError(
            "Give pictures and a model: python -m vlx caption photo.jpg --model=runs/a."
        )
    if FLAGS.beams < 1:
        raise UserError(f"--beams={FLAGS.beams} must be at least 1.")
    keep_compiled_programs()
    method = "beam" if FLAGS.beams > 1 else "greedy"
    options = DecodeOptions(method=method, beams=FLAGS.beams)
    texts = api.load(FLAGS.model).caption(argv[1:], options, FLAGS.prefix)
    for path, text in zip(argv[1:], texts, strict=True):
        print(f"{path}\t{text}")
    return 0
