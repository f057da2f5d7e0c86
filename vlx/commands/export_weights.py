"""Writes a trained model for others: vlx's own folder, or what official code loads.

    python -m vlx export runs/a --output=models/a
    python -m vlx export models/a --format=open_clip_coca --output=for_open_clip

The first makes a folder that `vlx.load` and `init_from` read, the second files that open_clip loads
with strict=True. `python -m vlx formats` lists the formats; docs/interop.md says how the official
code of each reads its files.
"""

from pathlib import Path

from absl import flags

from vlx.errors import UserError

FLAGS = flags.FLAGS
OWN = "vlx"


def define_flags() -> None:
    flags.DEFINE_string("output", None, "Folder to make.")
    flags.DEFINE_string("format", OWN, "vlx, or a name that `python -m vlx formats` lists.")
    flags.DEFINE_integer("step", None, "Checkpoint of a run; the latest by default.")


def main(argv: list[str]) -> int:
    from vlx import weights
    from vlx.interop import native, official

    if len(argv) != 2 or not FLAGS.output:
        raise UserError(
            "Give a run or a model's folder, and where it shall go: "
            "python -m vlx export runs/a --output=FOLDER."
        )
    path, output = Path(argv[1]), Path(FLAGS.output)
    if FLAGS.format != OWN:
        official.find_format(FLAGS.format)
    if FLAGS.step is None:
        pretrained = weights.read(path)
    elif weights.is_run(path):
        pretrained = weights.read_checkpoint(path, FLAGS.step)
    else:
        raise UserError(f"--step={FLAGS.step} is for runs, and {path} is none.")
    if FLAGS.format == OWN:
        native.save(output, pretrained)
    else:
        official.write(output, pretrained, FLAGS.format)
        usual = official.usual_vocabulary(pretrained)
        if pretrained.tokenizer is not None and pretrained.tokenizer.name != usual:
            print(
                f"Texts are ids of this model's own vocabulary ({pretrained.tokenizer.name}), not "
                f"of the one that the official code takes ({usual})."
            )
    print(f"{output}: {', '.join(sorted(x.name for x in output.iterdir()))}")
    return 0
