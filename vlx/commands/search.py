"""Finds pictures of a folder by what they show.

    python -m vlx search "a red square" photos --model=runs/a [--top=5] [--index=FILE]

The first search encodes every picture and keeps the vectors in photos/.vlx_index.npz, or in
--index; later ones encode what is new or changed (by size and time). One line a picture: cosine,
path.
"""

import sys
from pathlib import Path

from absl import flags

from vlx.errors import UserError

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("model", None, "A run, or the folder of a model.")
    flags.DEFINE_integer("top", 5, "How many pictures.")
    flags.DEFINE_string("index", None, "File of the vectors.")


def main(argv: list[str]) -> int:
    from vlx import api, search
    from vlx.parallel.start import keep_compiled_programs

    if len(argv) != 3 or not FLAGS.model:
        raise UserError(
            'Give a text, a folder and a model: python -m vlx search "a cat" photos --model=runs/a.'
        )
    text, folder = argv[1], Path(argv[2])
    keep_compiled_programs()
    model = api.load(FLAGS.model)
    vector = model.encode_text(text)
    update = search.update(folder, model, Path(FLAGS.index) if FLAGS.index else None)
    for line in update.unreadable:
        print(f"skipped {line}", file=sys.stderr)
    print(f"{len(update.index.names)} pictures, {update.encoded} encoded now", file=sys.stderr)
    for name, cosine in search.nearest(update.index, vector, FLAGS.top):
        print(f"{cosine:.3f}\t{folder / name}")
    return 0
