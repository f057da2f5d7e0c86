"""Records of TensorFlow Datasets stored as ArrayRecord; TensorFlow itself is not needed.

Texts come as bytes and images as they were encoded; a feature within a feature is `captions/text`.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vlx.data.columns import decode_text, find_columns
from vlx.data.config import DataConfig
from vlx.data.records import Record
from vlx.errors import UserError

_DESCRIPTION = "dataset_info.json"  # in the folder of every prepared data set


class TfdsSource:
    """A split of a prepared data set; worker processes open it for themselves."""

    def __init__(self, config: DataConfig, split: str):
        self._arguments = config, split
        builder = _builder(config)
        self._read = _open(builder, split or "all")
        features = dict(sorted(_flatten(builder.info.features)))
        self.columns = find_columns(
            config,
            features,
            os.path.join(builder.data_dir, _DESCRIPTION),
            _class_names(features, config.label_column),
        )
        self.class_names = self.columns.class_names
        files = builder.info.splits[split or "all"].file_instructions
        self._files = [file.filename for file in files]
        self._firsts = [file.skip for file in files]
        self._starts = np.cumsum([0] + [file.take for file in files])
        if not len(self):
            raise UserError(f"{builder.data_dir} has no records in the split {split!r}.")

    def __len__(self) -> int:
        return len(self._read)

    def __getitem__(self, index: int) -> Record:
        return self.columns.record(*self._row(index, self.columns.names))

    def captions(self, index: int) -> tuple[str, ...]:
        return self.columns.captions(*self._row(index, [self.columns.text]))

    def annotation(self, index: int) -> Record:
        return self.columns.annotation(*self._row(index, self.columns.annotations))

    def _row(self, index: int, names: list[str]) -> tuple[dict, str]:
        file = int(np.searchsorted(self._starts, index, side="right")) - 1
        number = index - int(self._starts[file]) + self._firsts[file]
        place = f"{self._files[file]} record {number}"
        try:
            example = self._read[index]
        except Exception as error:  # readers and parsers raise whatever they stumble over
            raise UserError(f"{place} cannot be read: {error}.") from error
        row = {name: _look_up(example, name) for name in names if name}
        for name in set(self.columns.annotations) & row.keys():
            row[name] = decode_text(row[name], place, name)
        return row, place

    def __reduce__(self):
        return TfdsSource, self._arguments


def _builder(config: DataConfig) -> tfds.core.DatasetBuilder:
    """From a folder that was prepared, else by name."""
    if not config.path:
        raise UserError("data.path is empty; the source 'tfds' needs the folder of its data.")
    folder = os.path.join(config.path, config.name)
    try:
        if os.path.isfile(os.path.join(folder, _DESCRIPTION)):
            return tfds.builder_from_directory(folder)
        if config.name:
            return tfds.builder(config.name, data_dir=config.path)
    except Exception as error:
        problem = str(error).splitlines()[0]  # a list of all data sets follows
        raise UserError(
            f"data.name={config.name!r} with data.path={config.path!r} leads to no data set: "
            f"{problem}"
        ) from error
    raise UserError(
        f"data.path={config.path!r} holds no {_DESCRIPTION}; name the data set with data.name, or "
        "its folder with data.path."
    )


def _open(builder: tfds.core.DatasetBuilder, split: str):
    name, folder = builder.info.full_name, builder.data_dir
    if not os.path.isfile(os.path.join(folder, _DESCRIPTION)):
        raise UserError(
            f"{name} is not prepared in {folder}; prepare it with "
            "tfds.builder(NAME, data_dir=..., file_format='array_record').download_and_prepare()."
        )
    try:
        return builder.as_data_source(split=split, decoders=_undecoded(builder.info.features))
    except NotImplementedError as error:
        raise UserError(
            f"{name} in {folder} is stored as {builder.info.file_format.value}, which has no "
            "random access; prepare it with file_format='array_record'."
        ) from error
    except Exception as error:
        raise UserError(f"{name} in {folder}, split {split!r}: {error}") from error


def _undecoded(feature: Any) -> Any:
    """Decoders that leave images as they are, in the form of the features."""
    if isinstance(feature, tfds.features.Image):
        return tfds.decode.SkipDecoding()
    if isinstance(feature, tfds.features.FeaturesDict):
        decoders = {name: _undecoded(inner) for name, inner in feature.items()}
        return {name: decoder for name, decoder in decoders.items() if decoder is not None} or None
    return None


def _flatten(features: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All features by name, those of inner dictionaries as outer/inner."""
    for name, feature in features.items():
        inner = getattr(feature, "feature", feature)  # of a sequence, its elements
        if isinstance(inner, tfds.features.FeaturesDict):
            yield from _flatten(inner, f"{prefix}{name}/")
        else:
            yield prefix + name, inner


def _look_up(example: Any, name: str) -> Any:
    for key in name.split("/"):
        if isinstance(example, list | tuple):
            example = [element[key] for element in example]
        else:
            example = example[key]
    return example.tolist() if isinstance(example, np.ndarray) else example


def _class_names(features: Mapping[str, Any], column: str) -> tuple[str, ...]:
    feature = features.get(column or "label")
    return tuple(feature.names or ()) if isinstance(feature, tfds.features.ClassLabel) else ()
