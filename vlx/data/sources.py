"""From a configuration to the records of a split."""

from collections.abc import Callable
from dataclasses import replace

from vlx.data.choose import choose
from vlx.data.config import DataConfig
from vlx.data.files import find_files
from vlx.data.listing import CSV_ENDINGS, JSONL_ENDINGS, CsvSource, JsonlSource
from vlx.data.parquet import ENDINGS as PARQUET_ENDINGS
from vlx.data.parquet import ParquetSource
from vlx.data.records import Source
from vlx.data.templates import TemplateSource


def build_source(config: DataConfig, split: str, size: int = 64) -> Source:
    """The records of `split`; a source that draws its pictures draws them `size` wide and high."""
    source = choose(SOURCES, config.source, "data.source")(config, split, size)
    if config.captions_from == "class_templates":
        return TemplateSource(source, config.templates)
    return source


def classification_source(config: DataConfig, split: str, size: int = 64) -> Source:
    """The records of `split` as a classifier is tested on them.

    A drawn picture has one label only where it holds one object.
    """
    if config.source == "shapes":
        config = replace(config, objects=(1, 1))
    return build_source(config, split, size)


def _parquet(config: DataConfig, split: str, size: int) -> Source:
    return ParquetSource(config, find_files(config, split, PARQUET_ENDINGS))


def _jsonl(config: DataConfig, split: str, size: int) -> Source:
    return JsonlSource(config, find_files(config, split, JSONL_ENDINGS))


def _csv(config: DataConfig, split: str, size: int) -> Source:
    return CsvSource(config, find_files(config, split, CSV_ENDINGS))


def _shapes(config: DataConfig, split: str, size: int) -> Source:
    from vlx.data.shapes import ShapesSource

    return ShapesSource(split=split, size=size, objects=config.objects)


SOURCES: dict[str, Callable[[DataConfig, str, int], Source]] = {
    "parquet": _parquet,
    "jsonl": _jsonl,
    "csv": _csv,
    "shapes": _shapes,
}
