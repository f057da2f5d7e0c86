r"""Writes the codes that a run's visual tokenizer gives its training pictures, once for all epochs.

    python -m vlx codes --config=configs/beit3/pretrain.py:base --group=image --views=4 \
        --config.loss.tokenizer=runs/tokenizer --config.groups.image.data.path=imagenet22k \
        --output=codes/image

Training then takes them by --config.groups.image.data.codes=codes/image (of a run without groups:
--config.data.codes). Every picture gets codes for --views random views, which training draws again.
The same command goes on where it was interrupted.
"""

import sys
from pathlib import Path

from absl import flags

from vlx import cli
from vlx.errors import UserError

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("output", None, "Folder of the codes.")
    flags.DEFINE_integer("views", 4, "Views of each picture.")
    flags.DEFINE_string("group", "", "Of a run with groups: whose pictures.")


def main(argv: list[str]) -> int:
    import jax

    from vlx import codes
    from vlx.constants import read_constants
    from vlx.data.codes import size_in_bytes
    from vlx.parallel.start import start
    from vlx.train.setup import Setup, resolved

    if not FLAGS.output:
        raise UserError("Give a folder for the codes: --output=codes.")
    folder, config = Path(FLAGS.output), cli.read_config()
    start(config.deterministic)
    setup = _chosen(Setup(resolved(config), folder))

    def say(text: str) -> None:
        if jax.process_index() == 0:
            print(text, file=sys.stderr)

    about = codes.write(folder, read_constants(setup), FLAGS.views, say)
    say(
        f"{folder}: {about['views']} views of {about['records']:,} records, {about['patches']} "
        f"codes each ({size_in_bytes(about) / 2**20:,.1f} MiB)"
    )
    return 0


def _chosen(setup):
    """The run, or of one with groups that which --group names."""
    if FLAGS.group in setup.parts:
        return setup.parts[FLAGS.group]
    if FLAGS.group or setup.parts:
        raise UserError(
            f"--group={FLAGS.group!r}: the groups of this run are "
            f"{', '.join(setup.parts) or 'none'}."
        )
    return setup
