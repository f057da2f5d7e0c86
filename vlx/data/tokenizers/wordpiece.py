"""BERT's WordPiece: of a word the longest piece that the vocabulary has, then of the rest."""

import re

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from vlx.data.tokenizers.library import SERIALISED, LibraryTokenizer
from vlx.data.tokenizers.vocabulary import Published

PUBLISHED = Published(
    sets=((SERIALISED,), ("vocab.txt",)),
    repositories=("google-bert/bert-base-uncased", "bert-base-uncased"),
    remedy="`hf download google-bert/bert-base-uncased vocab.txt` puts it there",
)


class WordPieceTokenizer(LibraryTokenizer):
    """`vocab.txt`, a piece a line, or a `tokenizer.json` of this kind."""

    PAD, START, END, UNKNOWN, MASK = "[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"

    @staticmethod
    def goes_on(piece: str) -> bool:
        return piece.startswith("##")

    def assemble(self) -> Tokenizer:
        pieces = models.WordPiece.read_file(self.path)
        names = {self.PAD, self.START, self.END, self.UNKNOWN, self.MASK}
        # A vocabulary without capitals can only have been made from texts without capitals.
        uncased = not any(re.search("[A-Z]", piece) for piece in pieces.keys() - names)
        tokenizer = Tokenizer(models.WordPiece(pieces, unk_token=self.UNKNOWN))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=uncased)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece(cleanup=False)
        return tokenizer
