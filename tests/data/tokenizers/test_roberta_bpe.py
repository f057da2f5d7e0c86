"""RoBERTa's byte-pair encoding on a vocabulary of a few merges."""

import json
import pickle

import numpy as np
import pytest

from vlx.data.config import TokenizerConfig
from vlx.data.tokenizers import RobertaTokenizer, build_tokenizer
from vlx.errors import UserError

SPACE = "\u0120"  # how a space is written in the vocabulary
PIECES = ["<s>", "<pad>", "</s>", "<unk>", *"aAdgomnst.,'<>/", SPACE, "do", "dog", f"{SPACE}dog",
          f"{SPACE}a", "<mask>"]  # fmt: skip
MERGES = ["d o", "do g", f"{SPACE} dog", f"{SPACE} a"]
NUMBER = {piece: n for n, piece in enumerate(PIECES)}


def write_vocabulary(folder, pieces=PIECES):
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({p: n for n, p in enumerate(pieces)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES, ""]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = write_vocabulary(tmp_path_factory.mktemp("words"))
    return RobertaTokenizer(str(folder / "vocab.json"))


def words(tokenizer, text):
    return [PIECES[i] for i in tokenizer.pieces(text)]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("dog dog", ["dog", f"{SPACE}dog"]),
        ("A dog", ["A", f"{SPACE}dog"]),
        ("a  a", ["a", SPACE, f"{SPACE}a"]),
        ("dogz", ["dog", "<unk>"]),
        ("é", ["<unk>", "<unk>"]),
        ("a</s> dog", ["a", "</s>", f"{SPACE}dog"]),
    ],
)
def test_pieces(tokenizer, text, pieces):
    assert words(tokenizer, text) == pieces


def test_ids_are_start_pieces_end_padding(tokenizer):
    assert tokenizer.vocab_size == len(PIECES)
    ids = tokenizer.encode("dog a dog", 7)
    assert [PIECES[i] for i in ids] == ["<s>", "dog", f"{SPACE}a", f"{SPACE}dog", "</s>",
                                        "<pad>", "<pad>"]  # fmt: skip
    assert [PIECES[i] for i in tokenizer.encode("dog a dog", 4)] == [
        *("<s>", "dog", f"{SPACE}a", "</s>")
    ]


def test_decode_undoes_encode_and_closes_up_punctuation(tokenizer):
    assert tokenizer.decode(tokenizer.encode("A dog, a dog's moat.", 31)) == "A dog, a dog's moat."
    assert tokenizer.decode(tokenizer.encode("A dog , a dog .", 31)) == "A dog, a dog."


def test_pieces_know_whether_they_continue_a_word(tokenizer):
    ids = tokenizer.encode("dogs a dog's", 13)
    goes_on = [PIECES[i] for i in ids[tokenizer.continues(ids)]]
    assert goes_on == ["dog", "s", "'", "s"]  # the first has no word before it to continue
    assert PIECES[tokenizer.mask] == "<mask>"
    assert {PIECES[i] for i in tokenizer.specials} == {"<s>", "<pad>", "</s>", "<unk>", "<mask>"}


def test_names_of_special_tokens_can_be_plain_text(tokenizer):
    plain = RobertaTokenizer(tokenizer.path, specials_in_text=False)
    assert words(plain, "</s>") == list("</s>")


def test_a_pickled_tokenizer_is_the_same(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy == tokenizer
    assert copy.pieces("a dog") == tokenizer.pieces("a dog")


def test_the_run_folder_keeps_both_files(tmp_path):
    given = write_vocabulary(tmp_path / "words")
    config, folder = TokenizerConfig("roberta_bpe", str(given)), tmp_path / "run"
    ids = build_tokenizer(config, str(folder), list).encode("a dog", 7)
    assert sorted(path.name for path in folder.iterdir()) == ["merges.txt", "vocab.json"]
    (given / "vocab.json").unlink()
    again = build_tokenizer(config, str(folder), list)
    np.testing.assert_array_equal(again.encode("a dog", 7), ids)


def test_a_vocabulary_of_another_kind_is_refused(tmp_path):
    given = write_vocabulary(tmp_path / "words", ["[PAD]", *PIECES[4:-1]])
    config = TokenizerConfig("roberta_bpe", str(given))
    with pytest.raises(UserError, match=r"vocab\.json lacks the special tokens <pad> <s>"):
        build_tokenizer(config, str(tmp_path / "run"), list)
