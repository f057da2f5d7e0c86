"""CLIP's byte-pair encoding, for CLIP, and for CoCa as open_clip trains it.

Its merges are in `bpe_simple_vocab_16e6.txt.gz`, which OpenAI's and open_clip's packages carry.
"""

import gzip
import hashlib
import html
import string
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import ftfy
import numpy as np
import regex
from tokenizers import models

from vlx.data.tokenizers.form import before_end, frame
from vlx.data.tokenizers.vocabulary import Published
from vlx.errors import UserError

PUBLISHED = Published(
    sets=(("bpe_simple_vocab_16e6.txt.gz",), ("bpe_simple_vocab_16e6.txt",), ("merges.txt",)),
    packages=("open_clip", "clip"),
    repositories=("openai/clip-vit-base-patch32", "openai/clip-vit-large-patch14"),
    remedy="It comes with `pip install --no-deps open_clip_torch`, and in the folder clip of the "
    "GitHub repository openai/CLIP",
)
MERGES = 48_894  # that make a vocabulary of 49,408; they follow a first line that is none
SHA256 = "f61f2adf497e6f5357c347aeb4646fabe82f341e946de5bdec5d2858e41bef4a"  # of their lines
START, END = "<start_of_text>", "<end_of_text>"
END_OF_WORD = "</w>"

# The first that matches counts, in any case of letters. Names of special tokens in a text are
# those tokens, as in open_clip.
_WORDS = regex.compile(
    rf"{START}|{END}|'s|'t|'re|'ve|'m|'ll|'d|\p{{L}}+|\p{{N}}|[^\s\p{{L}}\p{{N}}]+",
    regex.IGNORECASE,
)


@dataclass(frozen=True)
class ClipTokenizer:
    """The merges in a file, and how texts are cleaned before."""

    path: str
    cleaning: str = "lower"  # a name in `CLEANING`

    @cached_property
    def _model(self) -> models.BPE:
        merges = [tuple(line.split()) for line in _read(self.path)]
        symbols = list(_BYTES.values())
        words = [*symbols, *(s + END_OF_WORD for s in symbols), *map("".join, merges), START, END]
        numbers = {word: number for number, word in enumerate(words)}
        return models.BPE(numbers, merges, end_of_word_suffix=END_OF_WORD)

    def __getstate__(self) -> dict:
        return {"path": self.path, "cleaning": self.cleaning}

    @property
    def vocab_size(self) -> int:
        return self.end + 1

    pad = 0  # also "!" within a word, which then counts as padding, as in open_clip

    @property
    def start(self) -> int:
        return self._model.token_to_id(START)

    @property
    def end(self) -> int:
        return self._model.token_to_id(END)

    @property
    def mask(self) -> int:
        raise UserError(
            "tokenizer.name='clip_bpe' has no mask token, which tasks that predict words need; "
            "take 'wordpiece', 'roberta_bpe', 'xlm_roberta' or 'sentencepiece'."
        )

    def pieces(self, text: str) -> list[int]:
        """Ids of the text alone."""
        ids = []
        for word in _WORDS.findall(CLEANING[self.cleaning](text)):
            if word in (START, END):
                ids.append(self._model.token_to_id(word))
            else:
                symbols = "".join(_BYTES[byte] for byte in word.encode())
                ids += [token.id for token in self._model.tokenize(symbols)]
        return ids

    def encode(self, text: str, length: int) -> np.ndarray:
        return frame(self, self.pieces(text), length)

    def spell(self, ids: Sequence[int]) -> str:
        """The text of all ids, special ones included; a space follows every word."""
        symbols = "".join(map(self._model.id_to_token, ids))
        content = bytes(_SYMBOLS[symbol] for symbol in symbols)
        return content.decode(errors="replace").replace(END_OF_WORD, " ")

    def decode(self, ids: Sequence[int]) -> str:
        return self.spell([i for i in before_end(self, ids) if i != self.start]).strip()


def _symbols() -> dict[int, str]:
    """A visible character for every byte, in the order of the vocabulary."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = sorted(set(range(256)) - set(seen))
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + n) for n, byte in enumerate(rest)}


_BYTES = _symbols()
_SYMBOLS = {symbol: byte for byte, symbol in _BYTES.items()}


def _read(path: str) -> list[str]:
    """The lines of the merges. Raises UserError if they are not CLIP's."""
    opener = gzip.open if path.endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            lines = file.read().split("\n")[1 : MERGES + 1]
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}. {PUBLISHED.remedy}.") from error
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    if digest != SHA256:
        raise UserError(
            f"{path} does not hold the merges of CLIP: the SHA-256 of lines 2 to {MERGES + 1} is "
            f"{digest[:12]}..., not {SHA256[:12]}.... {PUBLISHED.remedy}."
        )
    return lines


def _mend(text: str) -> str:
    """The text with broken encodings and HTML entities, also doubled ones, undone."""
    return html.unescape(html.unescape(ftfy.fix_text(text)))


def _single_spaces(text: str) -> str:
    return " ".join(text.split())


def _whitespace(text: str) -> str:
    return _single_spaces(_mend(text))


def _lower(text: str) -> str:
    return _whitespace(text).lower()


def _canonicalize(text: str) -> str:
    """As big_vision prepares texts for SigLIP: no punctuation, no capitals."""
    text = _mend(text).replace("_", " ").translate(str.maketrans("", "", string.punctuation))
    return _single_spaces(text.lower())


CLEANING: dict[str, Callable[[str], str]] = {
    "lower": _lower,
    "whitespace": _whitespace,
    "canonicalize": _canonicalize,
}
