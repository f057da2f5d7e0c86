"""TFDS: prepared data sets by random access, without TensorFlow."""

import io
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
from data.pictures import encoded, numbers, picture

from vlx.data import DataConfig, build_source, train_batches
from vlx.errors import UserError

NAMES = ("frog", "ship", "horse")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TFDS's own imports


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The data set `toy`, defined here and prepared as ArrayRecord."""
    import tensorflow_datasets as tfds

    class Toy(tfds.core.GeneratorBasedBuilder):
        __module__ = "__main__"  # TFDS needs importlib_resources to find classes of packages
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(),
                "label": tfds.features.ClassLabel(names=NAMES),
                "title": tfds.features.Text(),
                "captions": tfds.features.Sequence({"id": np.int64, "text": tfds.features.Text()}),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, manager):
            ranges = {"train": range(11), "val": range(50, 55), "odd": range(90, 91)}
            return {split: self._examples(numbers) for split, numbers in ranges.items()}

        def _generate_examples(self):
            return None

        def _examples(self, numbers):
            for n in numbers:
                captions = [
                    {"id": i, "text": f"{w} über {n}"} for i, w in enumerate(("one", "two"))
                ]
                title = b"\xff\xfe" if n == 90 else f"title {n}"
                yield (
                    n,
                    {
                        "image": io.BytesIO(encoded(picture(n))),
                        "label": n % 3,
                        "title": title,
                        "captions": captions,
                    },
                )

    folder = tmp_path_factory.mktemp("tfds")
    Toy(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


@pytest.fixture
def config(folder):
    return DataConfig(source="tfds", path=str(folder), name="toy:1.0.0", text_column="title")


def test_splits_of_a_named_data_set(config):
    assert sorted(numbers(build_source(config, "train"))) == list(range(11))
    assert sorted(numbers(build_source(config, "val"))) == list(range(50, 55))
    assert len(build_source(config, "train[:3]")) == 3
    assert len(build_source(config, "")) == 17


@pytest.mark.parametrize("name", ["toy", "toy:1.0.0", "toy/1.0.0", ""])
def test_a_folder_is_a_name_too(folder, config, name):
    path = folder if name else folder / "toy" / "1.0.0"
    assert len(build_source(replace(config, path=str(path), name=name), "train")) == 11


def test_a_record_has_all(config):
    source = build_source(config, "train")
    number = numbers(source)[4]
    record = source[4]
    assert record["image"] == encoded(picture(number))
    assert record["captions"] == source.captions(4) == (f"title {number}",)
    assert record["label"] == number % 3
    assert source.class_names == NAMES
    assert record["id"].endswith("toy-train.array_record-00000-of-00001 record 4")


def test_captions_within_a_feature(config):
    source = build_source(replace(config, text_column=""), "train")  # "captions/text" is usual
    number = numbers(source)[2]
    assert source[2]["captions"] == (f"one über {number}", f"two über {number}")


def test_a_part_of_a_split_counts_in_its_file(config):
    whole, part = (build_source(config, split) for split in ("train", "train[7:]"))
    assert [part[n] for n in range(4)] == [whole[n] for n in range(7, 11)]


def test_threads_and_a_pickled_source_read_the_same(config):
    source = build_source(config, "train")

    def number(record, rng):
        return {"number": np.int32(record["captions"][0].split()[1]), "weight": np.float32(1)}

    def epoch(source, **options):
        with train_batches(source, number, 11, 0, replace(config, **options)) as batches:
            return next(batches)["number"].tolist()

    want = epoch(source, threads=0, prefetch=0)
    assert sorted(want) == list(range(11))
    assert epoch(pickle.loads(pickle.dumps(source)), threads=7, prefetch=2) == want


def test_tensorflow_is_not_imported(config):
    build_source(config, "train")[3]
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize(
    ("change", "split", "message"),
    [
        ({"path": ""}, "train", "data.path is empty"),
        ({"name": "none"}, "train", r"data.name='none' .* no data set: Dataset none not found"),
        ({"name": ""}, "train", "holds no dataset_info.json; name the data set with data.name"),
        ({"name": "cifar10"}, "train", "is not prepared in .*file_format='array_record'"),
        ({}, "test", r"split 'test': Unknown split 'test'.*'train', 'val'"),
        ({"text_column": "words"}, "train", "captions/id, captions/text, image, label, title"),
    ],
)
def test_mistakes(config, change, split, message):
    with pytest.raises(UserError, match=message):
        build_source(replace(config, **change), split)


def test_texts_that_are_none(config):
    source = build_source(config, "odd")
    with pytest.raises(UserError, match=r"toy-odd.* record 0: column 'title' is not UTF-8"):
        source[0]


def test_a_damaged_file_is_told(config, folder, tmp_path):
    (copy := tmp_path / "toy").mkdir()
    for path in (folder / "toy" / "1.0.0").iterdir():
        content = path.read_bytes()
        if "toy-train" in path.name:
            content = content[:300] + b"\0" * 300 + content[600:]
        (copy / path.name).write_bytes(content)
    with pytest.raises(UserError, match="toy"):
        [build_source(replace(config, path=str(copy), name=""), "train")[n] for n in range(11)]
