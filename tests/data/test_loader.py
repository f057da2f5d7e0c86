"""Batches are a function of the seed and their place, whoever makes them."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from data.pictures import write_jsonl

from vlx.data import (
    DataConfig,
    EvalTransform,
    TrainTransform,
    build_source,
    evaluation_batches,
    train_batches,
)
from vlx.data.fields import Wanted
from vlx.data.order import TrainingOrder
from vlx.data.tokenizers import train_sentencepiece
from vlx.errors import UserError


@pytest.fixture
def config(parquet_folder):
    return DataConfig(source="parquet", path=str(parquet_folder), threads=0, prefetch=0)


@pytest.fixture
def source(config):
    return build_source(config, "train")


@pytest.fixture
def tokenizer(tmp_path_factory, source):
    texts = (source[index]["captions"][0] for index in range(len(source)))
    return train_sentencepiece(texts, str(tmp_path_factory.mktemp("tokenizer") / "a.model"), 50)


@pytest.fixture
def transform(tokenizer, config):
    config = replace(config, flip=True, crop_scale=(0.2, 1.0))
    return TrainTransform(7, tokenizer, 31, config, Wanted((*Wanted.fields, "label")))


def number(record, rng=None):
    """An example that is little more than its record's label and what was drawn for it."""
    words = record["captions"][0].split()
    drawn = rng.integers(1 << 30) if rng else 0
    return {"number": np.int32(words[2]), "drawn": np.int32(drawn), "weight": np.float32(1)}


def sequence(source, config, count, batch_size=5, seed=3, **options):
    """The numbers and draws of the first `count` batches, row after row."""
    with train_batches(source, number, batch_size, seed, config, **options) as batches:
        rows = [np.stack([b["number"], b["drawn"]], 1) for b in islice(batches, count)]
    return np.concatenate(rows)


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name].dtype == b[name].dtype
            np.testing.assert_array_equal(a[name], b[name])


def take(source, transform, config, count, **options):
    with train_batches(source, transform, 5, 3, config, **options) as batches:
        return [{k: np.array(v) for k, v in b.items()} for b in islice(batches, count)]


def test_fields_are_as_documented(source, transform, config):
    (batch,) = take(source, transform, config, 1)
    assert {name: (value.dtype.name, value.shape) for name, value in batch.items()} == {
        "image": ("uint8", (5, 7, 7, 3)),
        "text": ("int32", (5, 31)),
        "text_mask": ("bool", (5, 31)),
        "weight": ("float32", (5,)),
        "label": ("int32", (5,)),
    }


@pytest.mark.parametrize(("threads", "prefetch"), [(1, 0), (3, 1), (16, 4)])
def test_threads_change_nothing(source, transform, config, threads, prefetch):
    want = take(source, transform, config, 7)
    assert_same(
        take(source, transform, replace(config, threads=threads, prefetch=prefetch), 7), want
    )


@pytest.mark.slow
def test_workers_change_nothing(source, transform, config):
    want = take(source, transform, config, 7)
    assert_same(take(source, transform, replace(config, workers=2, prefetch=1), 7), want)


def test_a_restart_continues(source, transform, config):
    want = take(source, transform, config, 9)
    with train_batches(source, transform, 5, 3, config) as batches:
        for _ in range(4):
            next(batches)
        position = batches.position
    assert position == 20
    assert_same(take(source, transform, config, 5, start_example=position), want[4:])


def test_another_batch_size_continues_the_same_sequence(source, config):
    want = sequence(source, config, 12, batch_size=5)
    got = [
        sequence(source, config, 6, batch_size=5),
        sequence(source, config, 2, batch_size=15, start_example=30),
    ]
    np.testing.assert_array_equal(np.concatenate(got), want)


def test_hosts_share_the_rows_of_every_batch(source, config):
    whole = sequence(source, config, 4, batch_size=6).reshape(4, 6, 2)
    parts = [
        sequence(source, config, 4, batch_size=6, host=host, hosts=3).reshape(4, 2, 2)
        for host in range(3)
    ]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_every_epoch_holds_every_example_once_in_another_order(source, config):
    epochs = sequence(source, config, 3, batch_size=23).reshape(3, 23, 2)
    for epoch in epochs:
        assert sorted(epoch[:, 0]) == list(range(23))
    assert len({tuple(epoch[:, 0]) for epoch in epochs}) == 3
    assert len({tuple(epoch[np.argsort(epoch[:, 0]), 1]) for epoch in epochs}) == 3


def test_seeds_share_no_epoch(source, config):
    first, second = (
        sequence(source, config, 2, batch_size=23, seed=s)[:, 0].reshape(2, 23) for s in (0, 1)
    )
    assert not np.array_equal(first[1], second[0])


@pytest.mark.parametrize("length", [1, 2, 3, 97, 1 << 16, (1 << 16) + 1, 70_001])
def test_orders_are_permutations(length):
    order = TrainingOrder(length, 5)
    assert sorted(order.at(place)[1] for place in range(length, 2 * length)) == list(range(length))


@pytest.mark.parametrize("length", [65_537, 70_001, 10_000_000, 10**12])
def test_long_orders_look_random(length):
    order = TrainingOrder(length, 5)
    indices = np.array([order.at(place)[1] for place in range(7 * length, 7 * length + 4000)])
    steps = np.diff(indices / length)
    assert abs(indices.mean() / length - 0.5) < 0.02
    assert abs(np.abs(steps).mean() - 1 / 3) < 0.02  # of two uniform numbers
    assert np.histogram(indices, 10, (0, length))[0].min() > 300


@pytest.mark.parametrize("batch_size", [1, 5, 7, 9])
def test_evaluation_gives_every_example_once_in_order(config, batch_size):
    source = build_source(config, "val")
    with evaluation_batches(source, number, batch_size, config) as batches:
        batches = list(batches)
    assert all(len(b["weight"]) == batch_size for b in batches)
    weight = np.concatenate([b["weight"] for b in batches])
    numbers = np.concatenate([b["number"] for b in batches])
    np.testing.assert_array_equal(numbers[weight > 0], np.arange(100, 107))
    assert weight.sum() == 7


def test_evaluation_hosts_take_equally_many_batches(config):
    source = build_source(config, "val")  # 7 examples: host 2 has none in the second batch
    parts = []
    for host in range(3):
        with evaluation_batches(source, number, 6, config, host, 3) as batches:
            parts.append(list(batches))
    assert [len(part) for part in parts] == [2, 2, 2]
    seen = [n for part in parts for b in part for n in b["number"][b["weight"] > 0]]
    assert sorted(seen) == list(range(100, 107))


def test_evaluation_draws_nothing(tokenizer, config):
    source, transform = build_source(config, "val"), EvalTransform(7, tokenizer, 31, config)
    first, second = (list(evaluation_batches(source, transform, 4, config)) for _ in range(2))
    assert_same(first, second)
    assert tokenizer.decode(first[0]["text"][0]) == "picture number 100 of a ship"
    np.testing.assert_array_equal(first[0]["text_mask"], first[0]["text"] != tokenizer.pad)


@pytest.mark.parametrize(("caption", "seen"), [("random", 2), ("first", 1)])
def test_captions_are_drawn_or_the_first(jsonl_folder, tokenizer, caption, seen):
    config = DataConfig(source="jsonl", path=str(jsonl_folder), caption=caption, prefetch=0)
    source, transform = build_source(config, "train"), TrainTransform(7, tokenizer, 31, config)
    texts = np.concatenate([b["text"] for b in take(source, transform, config, 11)])
    assert len(np.unique(texts, axis=0)) == seen * len(source)


def test_evaluation_can_read_several_captions(jsonl_folder, tokenizer):
    config = DataConfig(source="jsonl", path=str(jsonl_folder), prefetch=0)
    source, transform = build_source(config, "val"), EvalTransform(7, tokenizer, 31, config, 3)
    with evaluation_batches(source, transform, 5, config) as batches:
        batch = next(batches)
    assert batch["captions"].shape == (5, 3, 31)
    assert batch["caption_weight"].tolist() == [[1, 1, 0]] * 5
    np.testing.assert_array_equal(batch["captions"][:, 0], batch["text"])
    second = tokenizer.encode(source[0]["captions"][1], 31)
    np.testing.assert_array_equal(batch["captions"][0, 1], second)
    assert (batch["captions"][:, 2] == tokenizer.pad).all()
    first = EvalTransform(7, tokenizer, 31, config, 1)(source[0])
    np.testing.assert_array_equal(first["captions"], batch["text"][:1])


@pytest.mark.parametrize(("threads", "prefetch"), [(0, 0), (4, 2)])
def test_a_bad_image_is_told_with_its_place(tmp_path, tokenizer, threads, prefetch):
    config = bad_image(tmp_path, threads=threads, prefetch=prefetch)
    source, transform = build_source(config, "train"), TrainTransform(7, tokenizer, 31, config)
    place = r"train.jsonl line 1: unreadable image \(5 bytes\): no known format"
    with pytest.raises(UserError, match=place):
        next(train_batches(source, transform, 2, 0, config))
    with pytest.raises(UserError, match=place):
        next(evaluation_batches(source, EvalTransform(7, tokenizer, 31, config), 2, config))


@pytest.mark.slow
def test_a_bad_image_is_told_by_a_worker(tmp_path, tokenizer):
    config = bad_image(tmp_path, workers=1)
    source, transform = build_source(config, "train"), TrainTransform(7, tokenizer, 31, config)
    with pytest.raises(UserError, match=r"train.jsonl line 1: unreadable image"):
        next(train_batches(source, transform, 2, 0, config))


def bad_image(folder, **options) -> DataConfig:
    """A configuration of data whose only image is none."""
    (folder / "0.png").write_bytes(b"words")
    write_jsonl(folder / "train.jsonl", [{"image": "0.png", "text": "words"}])
    return DataConfig(source="jsonl", path=str(folder), **options)


def test_a_batch_that_does_not_divide_over_hosts_is_refused(source, config):
    with pytest.raises(UserError, match=r"batch.size=10 does not divide over 4 hosts; 8 or 12 wo"):
        train_batches(source, number, 10, 0, config, hosts=4)
