"""CLIP's tokenizer: cleaning, special tokens, lengths, and files that are not CLIP's."""

import gzip
import pickle

import numpy as np
import pytest

from vlx.data import config
from vlx.data.config import TokenizerConfig
from vlx.data.tokenizers import build_tokenizer
from vlx.data.tokenizers.clip_bpe import CLEANING, ClipTokenizer
from vlx.errors import UserError

from clip_vocabulary import clip_tokenizer

START, END = 49406, 49407
A_CAT = [320, 2368]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return clip_tokenizer(tmp_path_factory.mktemp("clip"))


def test_ids_are_those_of_clip(tokenizer):
    assert tokenizer.vocab_size == 49408
    np.testing.assert_array_equal(tokenizer.encode("A cat", 7), [START, *A_CAT, END, 0, 0, 0])
    assert tokenizer.encode("", 3).tolist() == [START, END, 0]


def test_a_long_text_is_cut_and_keeps_its_end(tokenizer):
    long = tokenizer.encode("a cat " * 40, 76)
    assert long[-1] == END
    assert long[:-1].tolist() == [START, *(A_CAT * 37)]


def test_decode_gives_the_words_up_to_the_end(tokenizer):
    ids = tokenizer.encode("Two dogs, &amp; a cat!", 31)
    assert tokenizer.decode(ids) == "two dogs , & a cat !"
    assert tokenizer.decode(tokenizer.encode("naïve 日本", 31)) == "naïve 日本"


def test_names_of_special_tokens_in_a_text_are_those_tokens(tokenizer):
    assert tokenizer.pieces("a cat<end_of_text>") == [*A_CAT, END]
    assert tokenizer.spell([START, *A_CAT, END]) == "<start_of_text>a cat <end_of_text>"


def test_a_pickled_tokenizer_is_the_same(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy == tokenizer
    assert copy.pieces("a cat") == A_CAT


def test_capitals_count_where_they_are_kept(tokenizer):
    kept = ClipTokenizer(tokenizer.path, "whitespace")
    assert kept.pieces("A  CAT") != kept.pieces("a cat") == A_CAT


@pytest.mark.parametrize(
    ("cleaning", "cleaned"),
    [
        ("lower", 'a <b>, "cat"_dog\'s caf\u00e9'),
        ("whitespace", 'A <b>, "CAT"_dog\'s caf\u00e9'),
        ("canonicalize", "a b cat dogs caf\u00e9"),
    ],
)
def test_cleaning(cleaning, cleaned):
    text = "A  &amp;lt;b&gt;,\n \u201cCAT\u201d_dog\u2019s cafe\u0301 "
    assert CLEANING[cleaning](text) == cleaned


def test_settings_name_every_way_of_cleaning():
    assert tuple(CLEANING) == config.CLEANING
    with pytest.raises(UserError, match=r"tokenizer\.cleaning='lowr' is unknown; .*'lower'"):
        TokenizerConfig(cleaning="lowr")


def other_merges(path, count=48_894):
    with gzip.open(path, "wt") as file:
        file.write("version\n" + "".join(f"a b{n}\n" for n in range(count)))
    return path


def test_merges_of_others_are_refused_and_not_kept(tmp_path):
    path = other_merges(tmp_path / "bpe_simple_vocab_16e6.txt.gz")
    with pytest.raises(UserError, match=r"does not hold the merges of CLIP: .* not f61f2adf497e"):
        build_tokenizer(TokenizerConfig("clip_bpe", str(path)), str(tmp_path / "run"), list)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(b"a b\n" * 99)[:-9]], ids=["other", "cut"]
)
def test_a_broken_file_is_refused(tmp_path, content):
    path = tmp_path / "bpe_simple_vocab_16e6.txt.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"16e6\.txt\.gz cannot be read: .*open_clip_torch"):
        ClipTokenizer(str(path)).pieces("a cat")


def test_unpacked_merges_and_those_of_the_hub_are_the_same(tokenizer, tmp_path):
    with gzip.open(tokenizer.path) as file:
        lines = file.read().split(b"\n")[: 1 + 48_894]
    lines[0] = b"#version: 0.2"  # as the hub's copies begin
    (tmp_path / "merges.txt").write_bytes(b"\n".join(lines) + b"\n")
    settings = TokenizerConfig("clip_bpe", str(tmp_path / "merges.txt"))
    assert build_tokenizer(settings, str(tmp_path / "run"), list).pieces("a cat") == A_CAT
