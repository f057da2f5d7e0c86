"""Mixtures: several sources in one sequence, by exact shares."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data.pictures import encoded, numbers, picture, sample, write_tar

from vlx.config import build, plain, to_dict
from vlx.data import (
    DataConfig,
    build_source,
    classification_source,
    retrieval_source,
    train_batches,
)
from vlx.data.mixture import LONGEST, interleave
from vlx.errors import UserError


@pytest.fixture
def config(tmp_path):
    """Five pictures in Parquet, three in a tar, seven in another Parquet file, by 2 : 1 : 0.5."""
    for name, first, count in (("a", 0, 5), ("c", 200, 7)):
        rows = {
            "image": [encoded(picture(n)) for n in range(first, first + count)],
            "text": [f"words on {n}" for n in range(first, first + count)],
        }
        (tmp_path / name).mkdir()
        for split in ("train", "val"):
            pq.write_table(pa.table(rows), tmp_path / name / f"{split}.parquet")
    write_tar(tmp_path / "train.tar", {str(n): sample(n) for n in range(100, 103)})
    return DataConfig(
        source="parquet",
        mixture=(
            {"path": str(tmp_path / "a"), "weight": 2, "caption_templates": ["{}", "photo: {}"]},
            {"source": "webdataset", "path": str(tmp_path / "train.tar"), "evaluate": False},
            {"path": str(tmp_path / "c"), "weight": 0.5},
        ),
        threads=0,
        prefetch=0,
    )


def number(record, rng):
    captions = record["captions"]
    caption = captions[rng.integers(len(captions))]
    photo = caption.startswith("photo: ")
    return {
        "number": np.int32(caption.split()[-1]),
        "photo": np.int32(photo),
        "drawn": np.int32(rng.integers(1 << 30)),
        "weight": np.float32(1),
    }


def sequence(config, count, batch_size=7, seed=0, **options):
    source = build_source(config, "train")
    with train_batches(source, number, batch_size, seed, config, **options) as batches:
        rows = [np.stack([b["number"], b["photo"], b["drawn"]], 1) for b in islice(batches, count)]
    return np.concatenate(rows)


def test_shares_are_exact_in_every_round(config):
    for batch in sequence(config, 6, 7).reshape(6, 7, 3):
        assert Counter(batch[:, 0] // 100) == {0: 4, 1: 2, 2: 1}


def test_every_part_passes_through_epochs_of_its_own(config):
    seen = sequence(config, 21)[:, 0]  # 84, 42 and 21 of the parts: whole epochs but for one
    for first, count in ((0, 5), (100, 3), (200, 7)):
        part = seen[seen // 100 == first // 100]
        epochs = [part[n : n + count].tolist() for n in range(0, len(part), count)]
        whole = [epoch for epoch in epochs if len(epoch) == count]
        assert all(sorted(epoch) == list(range(first, first + count)) for epoch in whole)
        assert len({tuple(epoch) for epoch in whole}) > 1


def test_the_position_is_one_number(config):
    whole = sequence(config, 6, 10)
    np.testing.assert_array_equal(sequence(config, 3, 10, start_example=30), whole[30:])
    np.testing.assert_array_equal(sequence(config, 12, 5), whole)
    parts = [sequence(config, 6, 10, host=host, hosts=2).reshape(6, 5, 3) for host in range(2)]
    np.testing.assert_array_equal(np.concatenate(parts, 1).reshape(-1, 3), whole)
    assert not np.array_equal(sequence(config, 6, 10, seed=1), whole)


def test_threads_change_nothing(config):
    want = sequence(config, 6)
    np.testing.assert_array_equal(sequence(replace(config, threads=5, prefetch=2), 6), want)


def test_templates_belong_to_their_source(config):
    rows = sequence(config, 60)
    photos = rows[rows[:, 1] == 1]
    assert set(photos[:, 0] // 100) == {0}
    assert 90 < len(photos) < 150  # half of 240
    source = build_source(config, "train")
    assert source[2]["captions"] == ("words on 2", "photo: words on 2")
    assert source.captions(2) == ("words on 2",)
    assert source.captions(3) == ("photo: words on 3",)
    assert source.captions(6) == ("words on 101",)


def test_evaluation_reads_the_parts_one_after_the_other(config):
    assert numbers(build_source(config, "val")) == [*range(5), *range(200, 207)]
    source = build_source(config, "train")
    assert numbers(source) == [*range(5), 100, 101, 102, *range(200, 207)]


def test_a_bad_record_is_replaced_within_its_part(config, tmp_path):
    write_tar(tmp_path / "train.tar", {"0": sample(100), "1": {"txt": b"words on 101"}})
    with pytest.raises(UserError, match=r"train.tar record 1 \(1\): column 'jpg'"):
        sequence(config, 2)
    for batch in sequence(replace(config, on_error="skip"), 6).reshape(6, 7, 3):
        assert Counter(batch[:, 0] // 100) == {0: 4, 1: 2, 2: 1}
        assert set(batch[batch[:, 0] // 100 == 1, 0]) == {100}


def test_labels_stay_where_class_names_agree(parquet_folder):
    part = {"source": "parquet", "path": str(parquet_folder)}
    same = build_source(DataConfig(mixture=(part, part)), "train")
    assert same.class_names == ("frog", "ship", "horse")
    assert same[24]["label"] == 1
    other = build_source(DataConfig(mixture=(part, {"source": "shapes"})), "train")
    assert other.class_names == ()
    assert "label" not in other[0]
    assert "label" not in other[23]


def test_a_classifier_is_tested_on_single_objects():
    config = DataConfig(mixture=({"source": "shapes", "objects": (3, 5)}, {"source": "shapes"}))
    assert classification_source(config, "val")._sources[0].objects == (1, 1)


def test_retrieval_reads_captions_in_the_first_template(config):
    source = retrieval_source(config, "val")
    assert [source[n]["captions"] for n in (2, 6)] == [("words on 2",), ("words on 201",)]
    one = DataConfig(source="shapes", caption_templates=("a photo: {}", "{}"))
    captions = build_source(replace(one, caption_templates=("{}",)), "val")[3]["captions"]
    want = tuple(f"a photo: {caption}" for caption in captions)
    assert retrieval_source(one, "val")[3]["captions"] == want


@pytest.mark.parametrize("weights", [[1], [1, 1], [2, 1, 0.5], [0.1, 0.2, 0.7], [5, 17, 3, 1]])
def test_any_stretch_has_its_shares(weights):
    parts, ranks = interleave(weights)
    shares = np.array(weights) / sum(weights)
    had = np.cumsum(parts[:, None] == np.arange(len(weights)), axis=0)
    want = np.arange(1, len(parts) + 1)[:, None] * shares
    assert np.abs(had - want).max() < 2
    np.testing.assert_allclose(had[-1], want[-1], rtol=1e-12)
    np.testing.assert_array_equal(ranks, had[np.arange(len(parts)), parts] - 1)


def test_weights_that_share_no_round_are_near_enough():
    weights = [1_234_567, 7_654_321, 1]
    parts, _ = interleave(weights)
    assert len(parts) <= LONGEST
    shares = np.bincount(parts) / len(parts)
    np.testing.assert_allclose(shares, np.array(weights) / sum(weights), atol=2e-6)


def test_a_mixture_survives_a_recipe_and_json(config):
    again = build(DataConfig, plain(to_dict(config)))
    assert [part.config for part in again.parts] == [part.config for part in config.parts]
    assert again.parts[0].config.caption_templates == ("{}", "photo: {}")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"wieght": 2}, r"data.mixture\[0\]: .*'wieght' is unknown; did you mean 'weight'"),
        ({"flip": True}, r"data.mixture\[0\].flip must be the same for all parts; set data.flip"),
        ({"mixture": ()}, r"data.mixture\[0\].mixture must be the same"),
        ({"weight": 0}, r"data.mixture\[0\].weight=0.0 must be a positive number"),
        ({"weight": "2"}, r"data.mixture\[0\].weight='2' is of the wrong kind"),
        ({"path": 3}, r"data.mixture\[0\].path=3 is of the wrong kind"),
        ({"caption_templates": ["a"]}, r"data.mixture\[0\]: data.caption_templates: 'a' has no"),
        ({"caption_templates": [3]}, r"data.mixture\[0\].caption_templates=\[3\] is of the wrong"),
    ],
)
def test_impossible_entries(entry, message):
    with pytest.raises(UserError, match=message):
        DataConfig(mixture=(entry,))


def test_a_part_that_cannot_be_opened_is_told(config, tmp_path):
    bad = replace(config, mixture=(*config.mixture, {"source": "jsonl", "path": "/none/x"}))
    with pytest.raises(UserError, match=r"data.mixture\[3\]: data.path='/none/x' does not exist"):
        build_source(bad, "train")
    with pytest.raises(UserError, match=r"evaluate=False leaves this part out"):
        build_source(bad, "val")
    bad = replace(config, mixture=config.mixture[1:2])
    with pytest.raises(UserError, match=r"no part of data.mixture has evaluate=True"):
        build_source(bad, "val")
