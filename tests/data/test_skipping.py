"""data.on_error='skip': bad records are counted and named, and nothing else changes."""

import logging
from dataclasses import replace
from itertools import islice

import pytest
from data.pictures import encoded, picture, write_jsonl

from vlx.data import (
    DataConfig,
    EvalTransform,
    TrainTransform,
    build_source,
    build_tokenizer,
    evaluation_batches,
    train_batches,
)
from vlx.data.config import TokenizerConfig
from vlx.data.fields import Wanted
from vlx.data.skipping import NAMED
from vlx.data.tokenizers import train_sentencepiece
from vlx.errors import UserError

BAD = (2, 3, 4, 11)  # of 13 rows


@pytest.fixture
def config(tmp_path):
    rows = []
    for n in range(13):
        (tmp_path / f"{n}.png").write_bytes(encoded(picture(n)) if n != 3 else b"words")
        rows.append({"image": f"{n}.png", "text": f"words on {n}", "label": n})
    rows[2]["text"] = " "
    rows[4]["image"] = "none.png"
    write_jsonl(tmp_path / "train.jsonl", rows)
    lines = (tmp_path / "train.jsonl").read_text().splitlines()
    lines[11] = "{broken"
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    return DataConfig(
        source="jsonl", path=str(tmp_path), on_error="skip", threads=0, prefetch=0, flip=True
    )


@pytest.fixture
def tokenizer(tmp_path):
    return train_sentencepiece(["words on 0123456789"], str(tmp_path / "words.model"), 30)


@pytest.fixture
def transform(tokenizer, config):
    return TrainTransform(7, tokenizer, 31, config, Wanted((*Wanted.fields, "label")))


def take(config, transform, count=6, **options):
    """Labels, images, and how many records had been skipped after each batch."""
    source, taken = build_source(config, "train"), []
    with train_batches(source, transform, 5, 1, config, **options) as batches:
        for batch in islice(batches, count):
            taken.append((batch["label"].tolist(), batch["image"].tobytes(), batches.skipped))
    return taken


def test_a_bad_record_gives_its_place_to_another(config, transform):
    labels = [label for batch in take(config, transform, 13) for label in batch[0]]
    assert set(labels) == set(range(13)) - set(BAD)


def test_every_good_record_stays_in_its_place(config, transform, tmp_path):
    got = [label for batch in take(config, transform, 13) for label in batch[0]]
    rows = [{"image": "0.png", "text": "words", "label": n} for n in range(13)]
    write_jsonl(tmp_path / "train.jsonl", rows)
    want = [label for batch in take(config, transform, 13) for label in batch[0]]
    assert all(g == w for g, w in zip(got, want, strict=True) if w not in BAD)


@pytest.mark.parametrize(("threads", "prefetch"), [(3, 1), (16, 4)])
def test_threads_change_nothing(config, transform, threads, prefetch):
    want = take(config, transform)
    assert take(replace(config, threads=threads, prefetch=prefetch), transform) == want
    assert want[-1][2] > 6  # 30 places with 4 of 13 bad


@pytest.mark.slow
def test_workers_change_nothing_and_tell_their_counts(config, transform, tmp_path):
    (tmp_path / "classnames.txt").write_text("\n".join("abcdefghijklm"))  # labels stay with names
    config = replace(config, mixture=({"weight": 2}, {"weight": 1}))
    want = take(config, transform)
    assert want[-1][2] > 6
    assert take(replace(config, workers=2, prefetch=1), transform) == want


def test_a_restart_continues(config, transform):
    want = [batch[:2] for batch in take(config, transform)]
    assert [batch[:2] for batch in take(config, transform, 3, start_example=15)] == want[3:]


def test_each_bad_record_is_named_once(config, transform, caplog):
    with caplog.at_level(logging.WARNING):
        last = take(config, transform, 26)[-1]
    told = [record.getMessage() for record in caplog.records]
    assert last[2] >= 10 * len(BAD)
    assert len(told) == len(BAD)
    for row, message in ((3, "empty text"), (4, "unreadable image"), (5, "no image"), (12, "JSON")):
        assert any(f"train.jsonl line {row}" in line and message in line for line in told)


def test_the_log_ends_at_a_limit(config, transform, tmp_path, caplog):
    rows = [{"image": "0.png", "text": "" if n % 3 else "words", "label": n} for n in range(40)]
    write_jsonl(tmp_path / "train.jsonl", rows)
    with caplog.at_level(logging.WARNING):
        take(config, transform, 8)
    assert len(caplog.records) == NAMED + 1
    assert "others are only counted" in caplog.records[-1].getMessage()


def test_data_without_a_good_record_are_refused(config, transform, tmp_path):
    rows = [{"image": "none.png", "text": "words", "label": n} for n in range(7)]
    write_jsonl(tmp_path / "train.jsonl", rows)
    with pytest.raises(UserError, match=r"100 records in a row are bad; the first: .*no image"):
        take(config, transform)
    source, transform = build_source(config, "train"), EvalTransform(7, None, 31, config)
    with pytest.raises(UserError, match="100 records in a row are bad"):
        next(evaluation_batches(source, transform, 2, config))


@pytest.mark.parametrize("batch_size", [1, 5, 13, 16])
@pytest.mark.parametrize("threads", [0, 3])
def test_evaluation_counts_every_good_record_once(config, tokenizer, batch_size, threads):
    config = replace(config, threads=threads)
    source, transform = build_source(config, "train"), EvalTransform(7, tokenizer, 31, config)
    with evaluation_batches(source, transform, batch_size, config) as batches:
        all_ = list(batches)
        assert batches.skipped == len(BAD)
    assert all(len(batch["weight"]) == batch_size for batch in all_)
    seen = [n for batch in all_ for n in batch["label"][batch["weight"] > 0]]
    assert seen == [n for n in range(13) if n not in BAD]


def test_evaluation_hosts_count_a_bad_last_record_once(config, tokenizer, tmp_path):
    rows = [{"image": "0.png", "text": "words" * (n < 6), "label": n} for n in range(7)]
    write_jsonl(tmp_path / "train.jsonl", rows)
    source, transform = build_source(config, "train"), EvalTransform(7, tokenizer, 31, config)
    skipped, seen = 0, []
    for host in range(3):  # host 2 has no example in the second batch
        with evaluation_batches(source, transform, 6, config, host, 3) as batches:
            seen += [n for b in batches for n in b["label"][b["weight"] > 0]]
            skipped += batches.skipped
    assert sorted(seen) == list(range(6))
    assert skipped == 1


def test_an_error_names_the_way_on(config, transform):
    config = replace(config, on_error="raise")
    source = build_source(config, "train")
    with pytest.raises(UserError, match=r"line \d+.* To go on .*: data.on_error='skip'"):
        list(train_batches(source, transform, 13, 1, config))


def test_a_tokenizer_is_trained_on_the_good_captions(config, tmp_path):
    source = build_source(config, "train")
    tokenizer = build_tokenizer(
        TokenizerConfig(vocab_size=30), str(tmp_path / "new"), lambda: source
    )
    assert tokenizer.decode(tokenizer.encode("words on 5", 31)) == "words on 5"
    source = build_source(replace(config, on_error="raise"), "train")
    with pytest.raises(UserError, match=r"train.jsonl line (3|12)"):
        build_tokenizer(TokenizerConfig(vocab_size=30), str(tmp_path / "other"), lambda: source)
