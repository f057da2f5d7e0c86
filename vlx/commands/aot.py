"""Writes the encoders as StableHLO, which JAX runs without vlx.

    python -m vlx aot runs/a --output=deploy/a [--platforms=cpu,cuda,tpu]

The model is a run, or the folder of one. The folder holds encode_image.jax and encode_text.jax for
any batch size, model.safetensors with the parameters, config.json and the vocabulary.
"""

from pathlib import Path

from absl import flags

from vlx.errors import UserError

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("output", None, "Folder to make.")
    flags.DEFINE_list("platforms", ["cpu", "cuda", "tpu"], "What the programs shall run on.")


def main(argv: list[str]) -> int:
    from vlx import aot, weights

    if len(argv) != 2 or not FLAGS.output:
        raise UserError(
            "Give a run or a model's folder, and where it shall go: "
            "python -m vlx aot runs/a --output=FOLDER."
        )
    output = Path(FLAGS.output)
    aot.write(output, weights.read(Path(argv[1])), tuple(FLAGS.platforms))
    for path in sorted(output.iterdir()):
        print(f"{path} ({path.stat().st_size / 2**20:.1f} MiB)")
    return 0
