"""SentencePiece with XLM-RoBERTa's ids: fairseq's special tokens, then the model's own pieces.

A piece that the model numbers n has the id n + 1, which leaves room for padding; the mask follows
the last piece. A model of 64,000 pieces has 64,002 ids.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sentencepiece

from vlx.data.tokenizers.form import before_end, frame, tidy
from vlx.data.tokenizers.sentencepiece import SPACE, read_model
from vlx.data.tokenizers.vocabulary import Published
from vlx.errors import UserError

PUBLISHED = Published(
    sets=(("beit3.spm",), ("sentencepiece.bpe.model",)),
    remedy="beit3.spm is among the downloads of BEiT-3 (microsoft/unilm, folder beit3)",
)
SHIFT = 1  # from a model's number of a piece to its id
NO_PIECE = 0  # the model's number of what it does not know
MASK = "<mask>"
NAMES = ("<s>", "<pad>", "</s>", "<unk>", MASK)  # by id, all but the last

_NAMES = re.compile(rf"({'|'.join(NAMES[:-1])}|\s*{MASK})")  # the mask takes the space before it


@dataclass(frozen=True)
class XlmRobertaTokenizer:
    """A SentencePiece model file; every process reads it for itself."""

    path: str

    start, pad, end, unknown = 0, 1, 2, 3

    @cached_property
    def _processor(self) -> sentencepiece.SentencePieceProcessor:
        processor = read_model(self.path)
        if processor.unk_id() != NO_PIECE:
            raise UserError(
                f"{self.path} numbers the unknown piece {processor.unk_id()}, not {NO_PIECE} as "
                "models of this kind do; set tokenizer.name='sentencepiece' for it."
            )
        return processor

    def __getstate__(self) -> dict:
        return {"path": self.path}

    @property
    def vocab_size(self) -> int:
        return self.mask + 1

    @property
    def mask(self) -> int:
        return self._processor.vocab_size() + SHIFT

    @property
    def specials(self) -> tuple[int, ...]:
        return (self.pad, self.start, self.end, self.mask, self.unknown)

    @cached_property
    def _pieces(self) -> list[str]:
        """By id; empty for special tokens."""
        numbers = range(-SHIFT, self._processor.vocab_size() + SHIFT)
        return [
            "" if n + SHIFT in self.specials else self._processor.id_to_piece(n) for n in numbers
        ]

    @cached_property
    def _goes_on(self) -> np.ndarray:
        """By id."""
        return np.array([piece != "" and not piece.startswith(SPACE) for piece in self._pieces])

    def continues(self, ids: np.ndarray) -> np.ndarray:
        return self._goes_on[ids]

    def pieces(self, text: str) -> list[int]:
        """Ids of the text alone. The name of a special token is that token, as in transformers."""
        ids = []
        for part in _NAMES.split(text):
            if (name := part.lstrip()) in NAMES:
                ids.append(self.mask if name == MASK else NAMES.index(name))
            else:
                numbers = self._processor.encode(part)
                ids += [self.unknown if n == NO_PIECE else n + SHIFT for n in numbers]
        return ids

    def encode(self, text: str, length: int) -> np.ndarray:
        """As `Tokenizer.encode`. Raises UserError for a text of blanks; an empty one begins a text.

        Models that read these ids were never shown a text without a piece.
        """
        pieces = self.pieces(text)
        if text and not pieces:
            raise UserError(f"the text {text!r} holds no word; give it one, or leave it out.")
        return frame(self, pieces, length)

    def decode(self, ids: Sequence[int]) -> str:
        """As `Tokenizer.decode`. Rows that a model has beyond the vocabulary say nothing."""
        known = [i for i in before_end(self, ids) if i < self.vocab_size]
        joined = "".join(self._pieces[i] for i in known)
        return tidy(joined.replace(SPACE, " ").strip())
