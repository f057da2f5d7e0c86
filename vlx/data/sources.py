"""From a configuration to the records of a split."""

from collections.abc import Callable
from dataclasses import replace

from vlx.data.annotated import (
    ade20k_source,
    coco_captions_source,
    coco_panoptic_source,
    flickr30k_source,
    karpathy_source,
    nlvr2_source,
    nlvr_source,
    nocaps_source,
    visual_genome_source,
    vqa_source,
)
from vlx.data.answer_vocabulary import Answers, answerable
from vlx.data.choose import choose
from vlx.data.config import DataConfig
from vlx.data.files import find_files
from vlx.data.listing import (
    CSV_ENDINGS,
    JSONL_ENDINGS,
    TEXT_ENDINGS,
    CsvSource,
    JsonlSource,
    TextSource,
)
from vlx.data.mixture import MixtureSource
from vlx.data.parquet import ENDINGS as PARQUET_ENDINGS
from vlx.data.parquet import ParquetSource
from vlx.data.records import Source
from vlx.data.skipping import TolerantSource
from vlx.data.templates import CaptionTemplateSource, TemplateSource
from vlx.data.webdataset import ENDINGS as TAR_ENDINGS
from vlx.data.webdataset import WebDatasetSource
from vlx.errors import UserError


def build_source(
    config: DataConfig, split: str, size: int = 64, answers: Answers | None = None
) -> Source:
    """The records of `split`; a source that draws its pictures draws them `size` wide and high.

    Without questions that none of the `answers` answers.
    """
    if config.mixture:
        return _mixture(config, split, size, answers)
    source = choose(SOURCES, config.source, "data.source")(config, split, size)
    if config.captions_from == "class_templates":
        source = TemplateSource(source, config.templates)
    if config.caption_templates != ("{}",):
        source = CaptionTemplateSource(source, config.caption_templates)
    source = TolerantSource(source) if config.on_error == "skip" else source
    return answerable(source, answers, split) if answers else source


def classification_source(config: DataConfig, split: str, size: int = 64) -> Source:
    """The records of `split` as a classifier is tested on them.

    A drawn picture has one label only where it holds one object.
    """
    parts = tuple({**entry, "objects": (1, 1)} for entry in config.mixture)
    return build_source(replace(config, objects=(1, 1), mixture=parts), split, size)


def retrieval_source(config: DataConfig, split: str, size: int = 64) -> Source:
    """The records of `split` with their captions as evaluation reads them: in the first template.

    Else an image would have every caption several times over.
    """
    names = ("templates", "caption_templates")
    first = {name: getattr(config, name)[:1] for name in names}
    parts = tuple(
        {**entry, **{name: entry[name][:1] for name in names if name in entry}}
        for entry in config.mixture
    )
    return build_source(replace(config, **first, mixture=parts), split, size)


def _mixture(config: DataConfig, split: str, size: int, answers: Answers | None) -> MixtureSource:
    sources, weights = [], []
    for number, part in enumerate(config.parts):
        if split != config.train_split and not part.evaluate:
            continue
        try:
            sources.append(build_source(part.config, part.split(split, config), size, answers))
        except UserError as error:
            hint = "" if split == config.train_split else " evaluate=False leaves this part out."
            raise UserError(f"data.mixture[{number}]: {error}{hint}") from error
        weights.append(part.weight)
    if not sources:
        raise UserError(f"no part of data.mixture has evaluate=True: the split {split!r} is empty.")
    return MixtureSource(sources, weights)


def _parquet(config: DataConfig, split: str, size: int) -> Source:
    return ParquetSource(config, find_files(config, split, PARQUET_ENDINGS))


def _jsonl(config: DataConfig, split: str, size: int) -> Source:
    return JsonlSource(config, find_files(config, split, JSONL_ENDINGS))


def _csv(config: DataConfig, split: str, size: int) -> Source:
    return CsvSource(config, find_files(config, split, CSV_ENDINGS))


def _text(config: DataConfig, split: str, size: int) -> Source:
    return TextSource(find_files(config, split, TEXT_ENDINGS))


def _webdataset(config: DataConfig, split: str, size: int) -> Source:
    return WebDatasetSource(config, find_files(config, split, TAR_ENDINGS))


def _tfds(config: DataConfig, split: str, size: int) -> Source:
    from vlx.data.tfds import TfdsSource

    return TfdsSource(config, split)


def _shapes(config: DataConfig, split: str, size: int) -> Source:
    from vlx.data.shapes import MAP_CLASSES, ShapesSource, ShapesTextSource

    if config.about == "captions":
        return ShapesSource(split=split, size=size, objects=config.objects)
    if config.about == "label_maps":
        fields = ("image", "label_map")
        return ShapesSource(split, size, config.objects, fields, class_names=MAP_CLASSES)
    return ShapesTextSource(config.about, split, size, config.objects)


SOURCES: dict[str, Callable[[DataConfig, str, int], Source]] = {
    "parquet": _parquet,
    "webdataset": _webdataset,
    "tfds": _tfds,
    "jsonl": _jsonl,
    "csv": _csv,
    "text": _text,
    "vqa_v2": vqa_source,
    "nlvr": nlvr_source,
    "nlvr2": nlvr2_source,
    "karpathy": karpathy_source,
    "coco_captions": coco_captions_source,
    "coco_panoptic": coco_panoptic_source,
    "ade20k": ade20k_source,
    "nocaps": nocaps_source,
    "flickr30k": flickr30k_source,
    "visual_genome": visual_genome_source,
    "shapes": _shapes,
}
