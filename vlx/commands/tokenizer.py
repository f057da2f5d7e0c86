r"""Trains a SentencePiece vocabulary on the captions of any source.

    python -m vlx tokenizer --config=configs/coca/captions.py \
        --config.data.path=photos/captions.jsonl --config.tokenizer.vocab_size=8000 --output=words

A run then takes it by --config.tokenizer.path=words/sentencepiece.model; without it, a run trains
its own in its folder.
"""

from pathlib import Path

from absl import flags

from vlx import cli
from vlx.errors import UserError

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("output", None, "Folder of the new sentencepiece.model.")


def main(argv: list[str]) -> int:
    from vlx.data import build_source, build_tokenizer

    if not FLAGS.output:
        raise UserError("Give a folder for the vocabulary: --output=words.")
    config = cli.read_config()
    if config.tokenizer.name != "sentencepiece" or config.tokenizer.path:
        raise UserError(
            f"tokenizer.name={config.tokenizer.name!r} with "
            f"tokenizer.path={config.tokenizer.path!r} leaves nothing to train; "
            "set tokenizer.name='sentencepiece' and leave tokenizer.path empty."
        )
    source = build_source(config.data, config.data.train_split)
    model = Path(FLAGS.output) / "sentencepiece.model"
    if model.exists():
        raise UserError(f"{model} exists already; remove it, or give another --output.")
    tokenizer = build_tokenizer(config.tokenizer, FLAGS.output, lambda: source)
    text = source[0]["captions"][0]
    words = tokenizer.encode(text, config.tokenizer.length)
    print(f"{model}: {tokenizer.vocab_size} words, from the captions of {len(source):,} images")
    print(f"{text!r} takes {(words != tokenizer.pad).sum()} of {config.tokenizer.length} places")
    return 0
