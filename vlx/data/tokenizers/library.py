"""Vocabularies that the `tokenizers` library reads as they are, with special tokens by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from tokenizers import Tokenizer

from vlx.data.tokenizers.form import before_end, frame, tidy
from vlx.errors import UserError

SERIALISED = "tokenizer.json"  # the library's own file, which says everything


@dataclass(frozen=True)
class LibraryTokenizer:
    """A vocabulary file; every process reads it for itself. Kinds say what their tokens are called.

    With `specials_in_text` the name of a special token in a text, as "[SEP]", is that token.
    """

    path: str
    specials_in_text: bool = True

    PAD: ClassVar[str]
    START: ClassVar[str]
    END: ClassVar[str]
    UNKNOWN: ClassVar[str]
    MASK: ClassVar[str]

    @staticmethod
    def goes_on(piece: str) -> bool:
        """Whether a piece, as the vocabulary spells it, continues a word."""
        raise NotImplementedError

    def assemble(self) -> Tokenizer:
        """The library's tokenizer from files that are not `tokenizer.json`."""
        raise NotImplementedError

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        names = [self.PAD, self.START, self.END, self.UNKNOWN, self.MASK]
        try:
            whole = self.path.endswith(SERIALISED)
            tokenizer = Tokenizer.from_file(self.path) if whole else self.assemble()
        except Exception as error:  # the library raises no narrower kind
            raise UserError(
                f"{self.path} cannot be read as a vocabulary: {error}. Set tokenizer.path to one "
                "whose special tokens are " + " ".join(names) + "."
            ) from error
        missing = [name for name in names if tokenizer.token_to_id(name) is None]
        if missing:
            raise UserError(
                f"{self.path} lacks the special tokens {' '.join(missing)}; it is a vocabulary of "
                "another kind. Set tokenizer.name or tokenizer.path."
            )
        tokenizer.add_special_tokens(names)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = not self.specials_in_text
        return tokenizer

    def __getstate__(self) -> dict:
        return {"path": self.path, "specials_in_text": self.specials_in_text}

    @property
    def vocab_size(self) -> int:
        return self._tokenizer.get_vocab_size()

    @property
    def pad(self) -> int:
        return self._tokenizer.token_to_id(self.PAD)

    @property
    def start(self) -> int:
        return self._tokenizer.token_to_id(self.START)

    @property
    def end(self) -> int:
        return self._tokenizer.token_to_id(self.END)

    @property
    def mask(self) -> int:
        return self._tokenizer.token_to_id(self.MASK)

    @cached_property
    def specials(self) -> tuple[int, ...]:
        names = (self.PAD, self.START, self.END, self.MASK, self.UNKNOWN)
        return tuple(map(self._tokenizer.token_to_id, names))

    @cached_property
    def _goes_on(self) -> np.ndarray:
        """By id."""
        vocabulary = self._tokenizer.get_vocab()
        result = np.zeros(max(vocabulary.values()) + 1, bool)
        for piece, number in vocabulary.items():
            result[number] = number not in self.specials and self.goes_on(piece)
        return result

    def continues(self, ids: np.ndarray) -> np.ndarray:
        return self._goes_on[ids]

    def pieces(self, text: str) -> list[int]:
        """Ids of the text alone."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode(self, text: str, length: int) -> np.ndarray:
        return frame(self, self.pieces(text), length)

    def decode(self, ids: Sequence[int]) -> str:
        return tidy(self._tokenizer.decode(before_end(self, ids), skip_special_tokens=True))
