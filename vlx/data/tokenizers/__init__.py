"""Text to ids and back: a file for each kind of vocabulary."""

from collections.abc import Callable

from vlx.data.choose import choose
from vlx.data.config import TokenizerConfig
from vlx.data.records import Source
from vlx.data.tokenizers import clip_bpe, roberta_bpe, wordpiece, xlm_roberta
from vlx.data.tokenizers.clip_bpe import ClipTokenizer
from vlx.data.tokenizers.form import Tokenizer
from vlx.data.tokenizers.roberta_bpe import RobertaTokenizer
from vlx.data.tokenizers.sentencepiece import (
    SentencePieceTokenizer,
    build_sentencepiece,
    train_sentencepiece,
)
from vlx.data.tokenizers.vocabulary import Files, Published, find, keep
from vlx.data.tokenizers.wordpiece import WordPieceTokenizer
from vlx.data.tokenizers.xlm_roberta import XlmRobertaTokenizer

__all__ = [
    "TOKENIZERS",
    "ClipTokenizer",
    "RobertaTokenizer",
    "SentencePieceTokenizer",
    "Tokenizer",
    "WordPieceTokenizer",
    "XlmRobertaTokenizer",
    "build_tokenizer",
    "train_sentencepiece",
]

Build = Callable[[TokenizerConfig, str, Callable[[], Source]], Tokenizer]


def build_tokenizer(
    config: TokenizerConfig, folder: str, source: Callable[[], Source]
) -> Tokenizer:
    """The tokenizer that `folder` keeps, else the one that the config describes, kept from now on.

    `source` opens the records to train on; it is called only where a tokenizer is trained.
    """
    return choose(TOKENIZERS, config.name, "tokenizer.name")(config, folder, source)


def _published(published: Published, make: Callable[[TokenizerConfig, str], Tokenizer]) -> Build:
    """How a tokenizer of a published vocabulary is built."""

    def build(config: TokenizerConfig, folder: str, source: Callable[[], Source]) -> Tokenizer:
        files = find(published, config.name, config.path, folder)
        make(config, _first(files)).vocab_size  # noqa: B018, what is broken is refused, not kept
        return make(config, _first(keep(files, folder)))

    return build


def _first(files: Files) -> str:
    return next(iter(files.values()))


TOKENIZERS: dict[str, Build] = {
    "sentencepiece": build_sentencepiece,
    "clip_bpe": _published(clip_bpe.PUBLISHED, lambda c, path: ClipTokenizer(path, c.cleaning)),
    "wordpiece": _published(wordpiece.PUBLISHED, lambda c, path: WordPieceTokenizer(path)),
    "roberta_bpe": _published(roberta_bpe.PUBLISHED, lambda c, path: RobertaTokenizer(path)),
    "xlm_roberta": _published(xlm_roberta.PUBLISHED, lambda c, path: XlmRobertaTokenizer(path)),
}
