"""Samples of a source: without repetition, always the same, and no larger than the source."""

import pytest

from vlx.data import DataConfig, SampleSource, build_source


@pytest.mark.parametrize("length", [1, 11, 23, 99])
def test_records_are_drawn_once(parquet_folder, length):
    source = build_source(DataConfig(source="parquet", path=str(parquet_folder)), "train")
    sample = SampleSource(source, length)
    ids = [sample[n]["id"] for n in range(len(sample))]
    assert len(set(ids)) == len(sample) == min(length, 23)
    assert ids == [SampleSource(source, length)[n]["id"] for n in range(len(sample))]
    assert sample.class_names == source.class_names


def test_a_sample_is_not_the_beginning(parquet_folder):
    """Data are often sorted by class."""
    source = build_source(DataConfig(source="parquet", path=str(parquet_folder)), "train")
    ids = [SampleSource(source, 11)[n]["id"] for n in range(11)]
    assert ids != [source[n]["id"] for n in range(11)]
