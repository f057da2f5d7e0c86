"""SentencePiece: round trips, lengths, equal training, and what is refused."""

import io
import pickle

import numpy as np
import pytest
import sentencepiece

from vlx.data.config import TokenizerConfig
from vlx.data.tokenizers import (
    SentencePieceTokenizer,
    build_tokenizer,
    train_sentencepiece,
)
from vlx.errors import UserError

TEXTS = [f"a {c} {s} above a {d} box" for c in ("red", "blue") for s in ("ball", "cone")
         for d in ("large", "small", "green")]  # fmt: skip


class Captions:
    """A source of texts alone."""

    class_names = ()

    def __len__(self):
        return len(TEXTS)

    def captions(self, index):
        return (TEXTS[index],)


def no_source():
    raise AssertionError("nothing is trained, so no data are opened")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_sentencepiece(TEXTS, str(tmp_path_factory.mktemp("t") / "a.model"), 60)


@pytest.mark.parametrize("text", [*TEXTS[:5], "", "ball ball"])
def test_decode_undoes_encode(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text, 97)) == text


def test_ids_are_start_pieces_end_padding(tokenizer):
    ids = tokenizer.encode("a red ball", 31)
    assert ids.dtype == np.int32
    assert ids.shape == (31,)
    end = list(ids).index(tokenizer.end)
    assert (tokenizer.pad, tokenizer.start, tokenizer.end) == (0, 1, 2)
    assert ids[0] == tokenizer.start
    assert (ids[1:end] > 3).all()
    assert (ids[end + 1 :] == 0).all()


def test_a_long_text_is_cut_and_keeps_its_end(tokenizer):
    long, short = tokenizer.encode(TEXTS[0], 97), tokenizer.encode(TEXTS[0], 5)
    np.testing.assert_array_equal(short, [*long[:4], tokenizer.end])


def test_pieces_know_whether_they_continue_a_word(tokenizer):
    ids = tokenizer.encode("a redball", 31)
    starts = [tokenizer.decode([i]) for i in ids[~tokenizer.continues(ids)] if i > 4]
    assert starts[0] == "a"
    assert len(starts) == 2
    assert tokenizer.continues(ids).any()
    assert not tokenizer.continues(np.array(tokenizer.specials)).any()


def test_no_text_yields_the_mask(tokenizer):
    assert tokenizer.mask == 4
    assert tokenizer.mask not in tokenizer.encode("a [MASK] ball", 31)
    assert tokenizer.decode([tokenizer.mask, *tokenizer.encode("a ball", 31)[1:]]) == "a ball"


def test_a_model_without_mask_tells_when_it_is_asked_for(tmp_path):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, vocab_size=40, hard_vocab_limit=False,
        pad_id=0, bos_id=1, eos_id=2, unk_id=3, minloglevel=2,
    )  # fmt: skip
    (tmp_path / "old.model").write_bytes(model.getvalue())
    old = SentencePieceTokenizer(str(tmp_path / "old.model"))
    assert old.decode(old.encode("a red ball", 31)) == "a red ball"
    with pytest.raises(UserError, match=r"old\.model has no piece \[MASK\], .* leave tokenizer"):
        _ = old.mask


def test_unknown_characters_have_the_unknown_id(tokenizer):
    assert 3 in tokenizer.encode("a ☃", 11)


def test_a_pickled_tokenizer_is_the_same(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy == tokenizer
    np.testing.assert_array_equal(copy.encode(TEXTS[1], 23), tokenizer.encode(TEXTS[1], 23))


def test_equal_texts_train_equal_files(tmp_path):
    first, second = (tmp_path / name for name in ("first.model", "second.model"))
    for path in (first, second):
        train_sentencepiece(iter(TEXTS), str(path), 60)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(tmp_path.iterdir()) == [first, second]


def test_few_texts_give_a_smaller_vocabulary(tmp_path, caplog):
    caplog.set_level("INFO")
    tokenizer = train_sentencepiece(TEXTS, str(tmp_path / "a.model"), 64000)
    assert 4 < tokenizer.vocab_size < 200
    assert f"{tokenizer.vocab_size} pieces of at most 64000, from 12 captions" in caplog.text


def test_lowercase_is_part_of_the_model(tmp_path):
    tokenizer = train_sentencepiece(TEXTS, str(tmp_path / "a.model"), 60, lowercase=True)
    assert tokenizer.decode(tokenizer.encode("A Red BALL", 31)) == "a red ball"


def test_the_run_folder_keeps_the_tokenizer_it_trained(tmp_path):
    config = TokenizerConfig(vocab_size=60)
    trained = build_tokenizer(config, str(tmp_path / "tokenizer"), Captions)
    content = (tmp_path / "tokenizer" / "sentencepiece.model").read_bytes()
    again = build_tokenizer(config, str(tmp_path / "tokenizer"), no_source)
    assert again == trained
    assert (tmp_path / "tokenizer" / "sentencepiece.model").read_bytes() == content


@pytest.mark.parametrize("given", ["words/sentencepiece.model", "words"])
def test_the_run_folder_keeps_the_model_it_was_given(tmp_path, given):
    made = train_sentencepiece(TEXTS, str(tmp_path / "words" / "sentencepiece.model"), 60)
    config, folder = TokenizerConfig(path=str(tmp_path / given)), str(tmp_path / "run")
    ids = build_tokenizer(config, folder, no_source).encode(TEXTS[0], 97)
    np.testing.assert_array_equal(ids, made.encode(TEXTS[0], 97))
    (tmp_path / "words" / "sentencepiece.model").unlink()
    moved = build_tokenizer(config, folder, no_source)
    np.testing.assert_array_equal(moved.encode(TEXTS[0], 97), ids)


def test_captions_to_train_on_are_limited(tmp_path, caplog):
    caplog.set_level("INFO")
    build_tokenizer(TokenizerConfig(vocab_size=60, captions=7), str(tmp_path), Captions)
    assert "from 7 captions" in caplog.text


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "sentencpiece"}, "tokenizer.name='sentencpiece' is unknown; did you mean 'sent"),
        ({"path": "/none/a.model"}, "there is no tokenizer at '/none/a.model'; set tokenizer.path"),
        ({"vocab_size": 9}, "tokenizer.vocab_size=9 cannot hold the characters of the captions; "),
    ],
)
def test_what_is_refused(tmp_path, config, message):
    with pytest.raises(UserError, match=message):
        build_tokenizer(TokenizerConfig(**config), str(tmp_path), Captions)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "a.model").write_bytes(b"words")
    with pytest.raises(UserError, match=r"a.model is no SentencePiece model"):
        build_tokenizer(TokenizerConfig(path=str(tmp_path / "a.model")), str(tmp_path), no_source)
    assert not (tmp_path / "sentencepiece.model").exists()


def test_no_captions_train_nothing(tmp_path):
    with pytest.raises(UserError, match="there are no captions to train a tokenizer on"):
        train_sentencepiece([], str(tmp_path / "a.model"), 60)


def test_a_length_without_room_is_refused():
    with pytest.raises(UserError, match=r"tokenizer.length=1 cannot hold a start and an end"):
        TokenizerConfig(length=1)
