"""WordPiece: BERT's rules on a vocabulary of a few words."""

import pickle

import numpy as np
import pytest

from vlx.data.config import TokenizerConfig
from vlx.data.tokenizers import WordPieceTokenizer, build_tokenizer
from vlx.errors import UserError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*SPECIAL, "a", "man", "ride", "##s", "un", "##believ", "##able", ".", ",", "'", "cafe",
          "日", "本", "s", "dog"]  # fmt: skip
NUMBER = {piece: n for n, piece in enumerate(PIECES)}


def write_vocabulary(folder, pieces=PIECES):
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("".join(f"{p}\n" for p in pieces), encoding="utf-8")
    return folder / "vocab.txt"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return WordPieceTokenizer(str(write_vocabulary(tmp_path_factory.mktemp("words"))))


def words(tokenizer, text):
    return [PIECES[i] for i in tokenizer.pieces(text)]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("A man rides.", ["a", "man", "ride", "##s", "."]),
        ("Unbelievable", ["un", "##believ", "##able"]),
        ("CAFÉ", ["cafe"]),
        ("日本", ["日", "本"]),
        ("  a\tman\n", ["a", "man"]),
        ("xyz man", ["[UNK]", "man"]),
        ("a [SEP] man", ["a", "[SEP]", "man"]),
    ],
)
def test_pieces(tokenizer, text, pieces):
    assert words(tokenizer, text) == pieces


def test_ids_are_start_pieces_end_padding(tokenizer):
    assert tokenizer.vocab_size == len(PIECES)
    ids = tokenizer.encode("a man rides", 9)
    assert ids.dtype == np.int32
    want = ["[CLS]", "a", "man", "ride", "##s", "[SEP]", *["[PAD]"] * 3]
    assert [PIECES[i] for i in ids] == want
    assert [PIECES[i] for i in tokenizer.encode("a man rides", 5)] == [*want[:4], "[SEP]"]


def test_decode_joins_pieces_and_closes_up_punctuation(tokenizer):
    ids = tokenizer.encode("A man's unbelievable dog, a man.", 23)
    assert tokenizer.decode(ids) == "a man's unbelievable dog, a man."


def test_capitals_count_where_the_vocabulary_has_some(tmp_path):
    cased = WordPieceTokenizer(str(write_vocabulary(tmp_path, [*PIECES, "Man"])))
    assert cased.pieces("a Man man") == [NUMBER["a"], len(PIECES), NUMBER["man"]]


def test_pieces_know_whether_they_continue_a_word(tokenizer):
    ids = tokenizer.encode("unbelievable, a man rides", 13)
    goes_on = [PIECES[i] for i in ids[tokenizer.continues(ids)]]
    assert goes_on == ["##believ", "##able", "##s"]
    assert PIECES[tokenizer.mask] == "[MASK]"
    assert {PIECES[i] for i in tokenizer.specials} == set(SPECIAL)


def test_names_of_special_tokens_can_be_plain_text(tokenizer):
    plain = WordPieceTokenizer(tokenizer.path, specials_in_text=False)
    assert words(plain, "[SEP]") == ["[UNK]"] * 3
    assert plain.encode("a", 3).tolist() == [NUMBER["[CLS]"], NUMBER["a"], NUMBER["[SEP]"]]


def test_a_pickled_tokenizer_is_the_same(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy == tokenizer
    assert copy.pieces("a man") == tokenizer.pieces("a man")


def test_the_librarys_own_file_says_the_same(tokenizer, tmp_path):
    own = tokenizer.assemble()
    own.enable_truncation(3)
    own.enable_padding(length=5)
    own.save(str(tmp_path / "tokenizer.json"))
    read = WordPieceTokenizer(str(tmp_path / "tokenizer.json"))
    text = "A man rides a dog, unbelievable"
    np.testing.assert_array_equal(read.encode(text, 31), tokenizer.encode(text, 31))


def test_the_run_folder_keeps_the_vocabulary(tmp_path):
    path = write_vocabulary(tmp_path / "words")
    config, folder = TokenizerConfig("wordpiece", str(path)), str(tmp_path / "run")
    ids = build_tokenizer(config, folder, list).encode("a man", 7)
    path.unlink()
    np.testing.assert_array_equal(build_tokenizer(config, folder, list).encode("a man", 7), ids)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        (PIECES[1:], r"vocab\.txt lacks the special tokens \[PAD\]; it is a vocabulary of another"),
        (["<s>", "a"], r"vocab\.txt lacks the special tokens \[PAD\] \[CLS\] \[SEP\] \[UNK\]"),
    ],
)
def test_a_vocabulary_of_another_kind_is_refused_and_not_kept(tmp_path, pieces, message):
    config = TokenizerConfig("wordpiece", str(write_vocabulary(tmp_path / "words", pieces)))
    with pytest.raises(UserError, match=message):
        build_tokenizer(config, str(tmp_path / "run"), list)
    assert not (tmp_path / "run").exists()


def test_a_broken_file_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer\.json cannot be read as a vocabulary: .*"):
        WordPieceTokenizer(str(tmp_path / "tokenizer.json")).encode("a", 5)
