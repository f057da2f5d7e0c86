"""Makes a folder that vlx loads from other people's weights.

    python -m vlx import downloads/CoCa-ViT-B-32 --output=models/coca-b32
    python -m vlx import ViT-B-32.bin --model=ViT-B-32 --tokenizer=none --output=models/clip

The first is a folder of the Hugging Face hub with open_clip_config.json, the second a bare file,
for which --model names a preset. `python -m vlx formats` lists what is read. The vocabulary is
looked for where it is usually installed; --tokenizer=FILE names another, none leaves it out.
--statistics=imagenet says how pixels were normalised, where no config does.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from absl import flags

from vlx.errors import UserError

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("output", None, "Folder to make.")
    flags.DEFINE_string("format", "", "Name of the format; found out by default.")
    flags.DEFINE_string("model", "", "Preset, where no config lies beside the file.")
    flags.DEFINE_string("statistics", "", "Of pixels: a name in vlx/layers/pixels.py.")
    flags.DEFINE_string("tokenizer", "", "The vocabulary's file or folder, or none.")


def main(argv: list[str]) -> int:
    from vlx.interop import native, official

    if len(argv) != 2 or not FLAGS.output:
        raise UserError(
            "Give one file or folder, and where it shall go: "
            "python -m vlx import FILE --output=FOLDER."
        )
    output = Path(FLAGS.output)
    pretrained = official.read_whole(Path(argv[1]), FLAGS.format, FLAGS.model)
    if FLAGS.statistics:
        pretrained = _normalised(pretrained, FLAGS.statistics)
    with tempfile.TemporaryDirectory() as folder:
        native.save(output, _with_vocabulary(pretrained, Path(folder)))
    count = sum(x.size for x in pretrained.params.values())
    print(f"{output}: {type(pretrained.model).__name__} of {count:,} parameters")
    return 0


def _normalised(pretrained, statistics: str):
    """The model with other statistics of pixels, also in its config if they stand there."""
    model = pretrained.model
    try:
        pixels = replace(pretrained.pixels, statistics=statistics)
    except ValueError as error:
        raise UserError(f"--{error}") from error
    if hasattr(model.config, "pixels"):
        model = type(model)(replace(model.config, pixels=statistics))
    return replace(pretrained, model=model, pixels=pixels)


def _with_vocabulary(pretrained, folder: Path):
    """The model with a copy of its vocabulary, or without one if that is asked for."""
    from vlx.data import build_tokenizer

    if FLAGS.tokenizer == "none" or pretrained.tokenizer is None:
        return replace(pretrained, tokenizer=None)

    def train():
        raise UserError("An imported model has no captions to train a vocabulary on.")

    config = replace(pretrained.tokenizer, path=FLAGS.tokenizer)
    try:
        build_tokenizer(config, str(folder), train)
    except UserError as error:
        raise UserError(f"{error} Or leave it out: --tokenizer=none.") from error
    return replace(pretrained, tokenizer=config, vocabulary=tuple(sorted(folder.iterdir())))
