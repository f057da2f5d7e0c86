"""RoBERTa's byte-pair encoding, which is GPT-2's with special tokens: capitals and spaces count."""

import os

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from vlx.data.tokenizers.library import SERIALISED, LibraryTokenizer
from vlx.data.tokenizers.vocabulary import Published

MERGES = "merges.txt"
SPACE = "\u0120"  # how pieces spell the space before a word; punctuation has none, and goes on
PUBLISHED = Published(
    sets=((SERIALISED,), ("vocab.json", MERGES)),
    repositories=("FacebookAI/roberta-base", "roberta-base"),
    remedy="`hf download FacebookAI/roberta-base vocab.json merges.txt` puts it there",
)


class RobertaTokenizer(LibraryTokenizer):
    """`vocab.json` with `merges.txt` beside it, or a `tokenizer.json` of this kind."""

    PAD, START, END, UNKNOWN, MASK = "<pad>", "<s>", "</s>", "<unk>", "<mask>"

    @staticmethod
    def goes_on(piece: str) -> bool:
        return not piece.startswith(SPACE)

    def assemble(self) -> Tokenizer:
        merges = os.path.join(os.path.dirname(self.path), MERGES)
        tokenizer = Tokenizer(models.BPE.from_file(self.path, merges, unk_token=self.UNKNOWN))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer
