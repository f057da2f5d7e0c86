"""SentencePiece with the ids of XLM-RoBERTa: what is shifted, what is said, what is refused."""

import io
import pickle

import numpy as np
import pytest
import sentencepiece

from vlx.data.config import TokenizerConfig
from vlx.data.tokenizers import XlmRobertaTokenizer, build_tokenizer
from vlx.errors import UserError

TEXTS = ["a man isn't riding a wave , he 's there .", "a dog's red ball ?", "two dogs"]


def model(path, **settings):
    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=content, vocab_size=60, minloglevel=2,
        hard_vocab_limit=False, **settings,
    )  # fmt: skip
    path.write_bytes(content.getvalue())
    return str(path)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return model(tmp_path_factory.mktemp("words") / "beit3.spm")


@pytest.fixture(scope="module")
def tokenizer(path):
    return XlmRobertaTokenizer(path)


def test_ids_are_the_models_moved_by_one(tokenizer, path):
    own = sentencepiece.SentencePieceProcessor(model_file=path)
    numbers = own.encode(TEXTS[1])
    ids = tokenizer.encode(TEXTS[1], 40)
    assert ids.dtype == np.int32
    assert ids[: len(numbers) + 2].tolist() == [0, *(n + 1 for n in numbers), 2]
    assert (ids[len(numbers) + 2 :] == 1).all()
    assert (tokenizer.mask, tokenizer.vocab_size) == (own.vocab_size() + 1, own.vocab_size() + 2)


def test_names_of_special_tokens_are_these_tokens(tokenizer):
    parts = [tokenizer.pieces(text) for text in ("a man", "dog")]
    named = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": tokenizer.mask}
    for name, token in named.items():
        assert tokenizer.pieces(f"a man {name}dog") == [*parts[0], token, *parts[1]]
    assert tokenizer.pieces("<mask>") == [tokenizer.mask]


def test_what_is_not_known_has_an_id_that_is_not_spelled(tokenizer):
    ids = tokenizer.encode("a ☃ dog", 23)
    assert 3 in ids
    assert tokenizer.decode(ids) == "a  dog"  # the spaces of both words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a man isn't there .", "a man isn't there."),
        ("a ball , a dog ?", "a ball, a dog?"),
        ("he 's a man", "he's a man"),
        ("a dog ' s ball", "a dog's ball"),
        ("two dogs", "two dogs"),
    ],
)
def test_spaces_before_punctuation_go(tokenizer, text, said):
    assert tokenizer.decode(tokenizer.encode(text, 61)) == said


def test_special_tokens_and_rows_without_a_token_say_nothing(tokenizer):
    ids = tokenizer.encode("two dogs", 31).tolist()
    end = ids.index(2)
    written = [*ids[:end], tokenizer.mask, tokenizer.vocab_size + 3, 2, *ids[1:end]]
    assert tokenizer.decode(written) == "two dogs"


def test_pieces_know_whether_they_continue_a_word(tokenizer):
    ids = tokenizer.encode("two dogs", 31)
    starts = ids[~tokenizer.continues(ids) & ~np.isin(ids, tokenizer.specials)]
    assert len(starts) == 2
    assert not tokenizer.continues(np.array(tokenizer.specials)).any()


def test_a_text_of_blanks_is_refused_and_an_empty_one_begins_a_text(tokenizer):
    assert tokenizer.encode("", 3).tolist() == [0, 2, 1]
    with pytest.raises(UserError, match=r"the text ' \\u200b' holds no word"):
        tokenizer.encode(" \u200b", 3)


def test_a_pickled_tokenizer_is_the_same(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy == tokenizer
    np.testing.assert_array_equal(copy.encode(TEXTS[0], 47), tokenizer.encode(TEXTS[0], 47))


def test_the_run_folder_keeps_the_model_it_was_given(tmp_path, tokenizer, path):
    config = TokenizerConfig(name="xlm_roberta", path=path)
    assert build_tokenizer(config, str(tmp_path), None).vocab_size == tokenizer.vocab_size
    again = build_tokenizer(TokenizerConfig(name="xlm_roberta"), str(tmp_path), None)
    np.testing.assert_array_equal(again.encode(TEXTS[0], 47), tokenizer.encode(TEXTS[0], 47))


def test_what_is_refused(tmp_path):
    config = TokenizerConfig(name="xlm_roberta")
    with pytest.raises(UserError, match=r"'xlm_roberta' needs a vocabulary: .* is empty\. beit3"):
        build_tokenizer(config, str(tmp_path), None)
    moved = model(tmp_path / "beit3.spm", unk_id=3, pad_id=0)
    with pytest.raises(UserError, match=r"beit3\.spm numbers the unknown piece 3, not 0"):
        XlmRobertaTokenizer(moved).encode("a dog", 7)
    (tmp_path / "beit3.spm").write_bytes(b"words")
    with pytest.raises(UserError, match=r"beit3\.spm is no SentencePiece model"):
        _ = XlmRobertaTokenizer(moved).mask
