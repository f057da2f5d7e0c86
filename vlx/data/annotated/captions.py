"""Captions of photos: COCO, Flickr30k, Visual Genome, and the splits of Karpathy."""

import csv
import os
from collections import defaultdict
from typing import NamedTuple

from vlx.data.annotated.form import (
    AnnotatedSource,
    find,
    home,
    read_each,
    read_json,
    require_rows,
    text,
    value,
)
from vlx.data.columns import check_caption
from vlx.data.config import DataConfig
from vlx.data.files import Files
from vlx.data.image_files import image_folders
from vlx.data.records import Record
from vlx.errors import UserError


class Photo(NamedTuple):
    place: str
    captions: tuple[str, ...]
    paths: tuple[str, ...]  # where it may lie
    number: int | None = None  # what benchmarks call it


class PhotoSource(AnnotatedSource):
    """A photo with all its captions a record."""

    def describe(self, row: Photo) -> Record:
        record = {"id": row.place, "captions": row.captions, "picture": row.paths[0]}
        return record if row.number is None else record | {"image_id": row.number}

    def pictures(self, row: Photo) -> tuple[tuple[str, ...], ...]:
        return (row.paths,)


def karpathy_source(config: DataConfig, split: str, size: int) -> PhotoSource:
    """dataset_coco.json or dataset_flickr30k.json. Splits may be joined: "train+restval"."""
    path = find(config, r"dataset.*\.json", "dataset_coco.json or dataset_flickr30k.json")

    def read(entry: dict) -> tuple[str, Photo]:
        name = value(entry, "filename", str, f"{path}: an image")
        place = f"{path} image {name}"
        sentences = value(entry, "sentences", list, place)
        captions = _several((text(each, "raw", place) for each in sentences), place)
        paths = (os.path.join(entry.get("filepath", ""), name), name)
        photo = Photo(place, captions, paths, entry.get("cocoid"))
        return value(entry, "split", str, place), photo

    found = read_each(value(read_json(path), "images", list, path), read, config)
    wanted = split.split("+")
    unknown = sorted(set(wanted) - {name for name, _ in found} - {""})
    if unknown:
        there = ", ".join(sorted({name for name, _ in found})) or "none"
        raise UserError(f"{path} has no split {unknown[0]!r}; it has: {there}.")
    rows = [photo for name, photo in found if not split or name in wanted]
    require_rows(rows, path, split)
    return PhotoSource(rows, image_folders(config, os.path.dirname(path) or "."))


def coco_captions_source(config: DataConfig, split: str, size: int) -> PhotoSource:
    """captions_train2017.json, captions_val2017.json and the like."""
    pattern, example = rf"captions_{split}(20\d\d)?\.json", f"captions_{split}2017.json"
    path = find(config, pattern, example)
    folder = os.path.basename(path).removeprefix("captions_").removesuffix(".json")
    return _photos(path, folder, config, split)


def nocaps_source(config: DataConfig, split: str, size: int) -> PhotoSource:
    """nocaps_val_4500_captions.json: ten captions an image. Those of other splits are secret."""
    pattern, example = rf"nocaps_{split}_\d+_captions\.json", f"nocaps_{split}_4500_captions.json"
    return _photos(find(config, pattern, example), split, config, split)


def flickr30k_source(config: DataConfig, split: str, size: int) -> PhotoSource:
    """results_20130124.token or results.csv; SPLIT.txt beside it lists the images of a split."""
    path = find(config, r"results.*\.(token|csv)", "results_20130124.token or results.csv")
    captions, numbers = defaultdict(list), {}

    def read(entry: tuple[int, list[str]]) -> None:
        number, row = entry
        place = f"{path} line {number}"
        if len(row) < 2:
            raise UserError(f"{place} must be an image and a caption, not {'|'.join(row)!r}.")
        name, caption = row[0].split("#")[0].strip(), row[-1].strip()
        check_caption(caption, place)
        captions[name].append(caption)
        numbers.setdefault(name, number)

    with open(path, encoding="utf-8", newline="") as file:
        mark = "\t" if path.endswith(".token") else "|"
        rows = enumerate(csv.reader(file, delimiter=mark, quoting=csv.QUOTE_NONE), start=1)
        header = 0 if path.endswith(".token") else 1
        read_each(((n, row) for n, row in rows if row and n > header), read, config)
    names = _listed(path, split, config, list(captions))
    found = [
        Photo(f"{path} line {numbers[name]}", tuple(captions[name]), (name,)) for name in names
    ]
    require_rows(found, path, split)
    folders = image_folders(config, os.path.dirname(path) or ".")
    return PhotoSource(found, (*folders, os.path.join(folders[0], "flickr30k-images")))


def visual_genome_source(config: DataConfig, split: str, size: int) -> PhotoSource:
    """region_descriptions.json: what people wrote about parts of a photo, each text once.

    Descriptions of fewer than `data.least_words` words are left out. The set has no splits.
    """
    path = find(config, r"region_descriptions\.json", "region_descriptions.json")

    def read(entry: dict) -> Photo:
        number = value(entry, "id", int, f"{path}: an image")
        place = f"{path} image {number}"
        phrases = [value(region, "phrase", str, place).strip() for region in
                   value(entry, "regions", list, place)]  # fmt: skip
        long = [phrase for phrase in phrases if len(phrase.split()) >= config.least_words]
        name = f"{number}.jpg"
        return Photo(
            place, tuple(dict.fromkeys(long)), (f"VG_100K/{name}", f"VG_100K_2/{name}", name)
        )

    rows = [row for row in read_each(read_json(path, list), read, config) if row.captions]
    Files((path,), split, False, split == config.train_split).rows(None)
    require_rows(rows, path, split)
    return PhotoSource(rows, image_folders(config, os.path.dirname(path) or "."))


def _photos(path: str, folder: str, config: DataConfig, split: str) -> PhotoSource:
    """A file in COCO's form; its photos may lie in `folder` of their folder."""
    content, captions = read_json(path), defaultdict(list)

    def caption(entry: dict) -> None:
        image = value(entry, "image_id", int, f"{path}: an annotation")
        captions[image].append(text(entry, "caption", f"{path} image {image}"))

    def photo(entry: dict) -> Photo:
        number = value(entry, "id", int, f"{path}: an image")
        place = f"{path} image {number}"
        name = value(entry, "file_name", str, place)
        paths = os.path.join(folder, name), name
        return Photo(place, tuple(captions[number]), paths, number)

    read_each(value(content, "annotations", list, path), caption, config)
    photos = read_each(value(content, "images", list, path), photo, config)
    rows = [row for row in photos if row.captions]  # test images have none
    require_rows(rows, path, split)
    return PhotoSource(rows, image_folders(config, home(path)))


def _several(captions, place: str) -> tuple[str, ...]:
    found = tuple(captions)
    if not found:
        raise UserError(f"{place} has no captions.")
    return found


def _listed(path: str, split: str, config: DataConfig, names: list[str]) -> list[str]:
    """Of the images those in SPLIT.txt; all of them, if there are no splits, for training."""
    file = os.path.join(os.path.dirname(path), f"{split}.txt")
    if not split or not os.path.isfile(file):
        if split and split != config.train_split:
            raise UserError(
                f"{path} does not say which images are {split!r}; put {split}.txt beside it, one "
                "image a line, or read dataset_flickr30k.json with data.source=karpathy."
            )
        return names
    with open(file, encoding="utf-8") as lines:
        listed = {os.path.splitext(line.strip())[0] for line in lines}
    return [name for name in names if os.path.splitext(name)[0] in listed]
