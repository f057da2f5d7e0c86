"""SentencePiece, trained on a run's own captions or given as a model file."""

import io
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sentencepiece

from vlx.data.config import TokenizerConfig
from vlx.data.order import TrainingOrder
from vlx.data.records import Source, tokenizer_texts
from vlx.data.tokenizers.form import before_end, frame
from vlx.data.tokenizers.vocabulary import keep, write
from vlx.errors import UserError

MODEL = "sentencepiece.model"  # in the folder of a run
PAD, START, END, UNKNOWN = range(4)  # the ids of tokenizers that are trained here
MASK = "[MASK]"  # a piece that no text yields
SPACE = "\u2581"  # how pieces spell the space before a word; punctuation has none, and goes on

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SentencePieceTokenizer:
    """A SentencePiece model file; every process reads it for itself."""

    path: str

    @cached_property
    def _processor(self) -> sentencepiece.SentencePieceProcessor:
        processor = read_model(self.path)
        if min(processor.pad_id(), processor.bos_id(), processor.eos_id()) < 0:
            raise UserError(
                f"{self.path} lacks the id of padding, start or end; train it with pad_id, bos_id "
                "and eos_id."
            )
        return processor

    def __getstate__(self) -> dict:
        return {"path": self.path}

    @property
    def vocab_size(self) -> int:
        return self._processor.vocab_size()

    @property
    def pad(self) -> int:
        return self._processor.pad_id()

    @property
    def start(self) -> int:
        return self._processor.bos_id()

    @property
    def end(self) -> int:
        return self._processor.eos_id()

    @property
    def mask(self) -> int:
        mask = self._processor.piece_to_id(MASK)
        if mask == self._processor.unk_id():
            raise UserError(
                f"{self.path} has no piece {MASK}, which tasks that predict words need; leave "
                "tokenizer.path empty and begin in a new folder to train one that has."
            )
        return mask

    @cached_property
    def specials(self) -> tuple[int, ...]:
        return (self.pad, self.start, self.end, self.mask, self._processor.unk_id())

    @cached_property
    def _goes_on(self) -> np.ndarray:
        """By id."""
        pieces = map(self._processor.id_to_piece, range(self.vocab_size))
        result = np.array([not piece.startswith(SPACE) for piece in pieces])
        result[list(self.specials)] = False
        return result

    def continues(self, ids: np.ndarray) -> np.ndarray:
        return self._goes_on[ids]

    def encode(self, text: str, length: int) -> np.ndarray:
        return frame(self, self._processor.encode(text), length)

    def decode(self, ids: Sequence[int]) -> str:
        ids = before_end(self, ids)
        return self._processor.decode([i for i in ids if i not in (self.pad, self.start)])


def read_model(path: str) -> sentencepiece.SentencePieceProcessor:
    """The model in a file. Raises UserError if it is none."""
    if not os.path.isfile(path):
        raise UserError(
            f"there is no tokenizer at {path!r}; set tokenizer.path to a SentencePiece model "
            "file, or leave it empty to train one."
        )
    try:
        return sentencepiece.SentencePieceProcessor(model_file=path)
    except (RuntimeError, OSError) as error:
        raise UserError(f"{path} is no SentencePiece model: {error}.") from error


def build_sentencepiece(
    config: TokenizerConfig, folder: str, source: Callable[[], Source]
) -> SentencePieceTokenizer:
    """The model in `folder`, else a copy there of the one at `config.path`, else a trained one."""
    kept = os.path.join(folder, MODEL)
    if not os.path.exists(kept) and not config.path:
        texts = _captions(source(), config.captions)
        return train_sentencepiece(
            texts, kept, config.vocab_size, config.lowercase, config.algorithm
        )
    path = kept if os.path.exists(kept) else _model_at(config.path)
    SentencePieceTokenizer(path).vocab_size  # noqa: B018, what is broken is refused, not kept
    return SentencePieceTokenizer(keep({MODEL: path}, folder)[MODEL])


def train_sentencepiece(
    texts: Iterable[str],
    path: str,
    vocab_size: int,
    lowercase: bool = False,
    algorithm: str = "bpe",
) -> SentencePieceTokenizer:
    """Writes a model of at most `vocab_size` pieces; equal texts give equal files."""
    texts = [" ".join(text.split()) for text in texts]
    if not any(texts):
        raise UserError("there are no captions to train a tokenizer on; set tokenizer.path.")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=vocab_size,
            model_type=algorithm,
            hard_vocab_limit=False,  # few texts have fewer pieces
            pad_id=PAD,
            bos_id=START,
            eos_id=END,
            unk_id=UNKNOWN,
            control_symbols=[MASK],
            normalization_rule_name="nmt_nfkc_cf" if lowercase else "nmt_nfkc",
            num_threads=1,  # more would add numbers in another order
            shuffle_input_sentence=False,
            max_sentence_length=1 << 20,  # bytes; longer ones would be left out
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise UserError(_training_error(vocab_size, str(error))) from error
    write(path, model.getvalue())
    tokenizer = SentencePieceTokenizer(path)
    _log.info(
        "tokenizer: %d pieces of at most %d, from %d captions, in %s",
        *(tokenizer.vocab_size, vocab_size, len(texts), path),
    )
    return tokenizer


def _training_error(vocab_size: int, message: str) -> str:
    required = re.search(r"smaller than required_chars\. \d+ vs (\d+)", message)
    if required or "vocab_size" in message:
        need = f"; {required[1]} or more would" if required else "; a larger one would"
        return (
            f"tokenizer.vocab_size={vocab_size} cannot hold the characters of the captions{need}."
        )
    return f"training the tokenizer failed: {message.strip()}."


def _model_at(path: str) -> str:
    return os.path.join(path, MODEL) if os.path.isdir(path) else path


def _captions(source: Source, most: int) -> Iterator[str]:
    """At most so many captions, of records drawn without repetition."""
    order, given = TrainingOrder(len(source), seed=0), 0
    for place in range(len(source)):
        for caption in tokenizer_texts(source, order.at(place)[1]):
            if given == most:
                return
            yield caption
            given += 1
