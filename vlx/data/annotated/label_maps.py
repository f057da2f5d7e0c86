"""Photos with a class for every pixel: COCO's panoptic segments, ADE20K's folders."""

import io
import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from vlx.data.annotated.form import (
    AnnotatedSource,
    find,
    home,
    read_each,
    read_json,
    require_rows,
    value,
)
from vlx.data.config import DataConfig
from vlx.data.fields import given
from vlx.data.image_files import image_folders, read_image
from vlx.data.label_maps import NO_CLASS
from vlx.data.records import Record
from vlx.errors import UserError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")


class Mapped(NamedTuple):
    place: str
    paths: tuple[str, ...]  # where the photo may lie
    map_file: str
    classes: dict[int, int]  # from the number of a segment to its class; empty: pixels tell it
    number: int | None = None  # what benchmarks call it


class LabelMapSource(AnnotatedSource):
    """A photo and its label map a record, uint8 [H, W]."""

    def __init__(self, rows: list[Mapped], folders: tuple[str, ...], class_names: tuple[str, ...]):
        super().__init__(rows, folders)
        self.class_names = class_names

    def __getitem__(self, index: int) -> Record:
        row = self._rows[index]
        return super().__getitem__(index) | {"label_map": self._label_map(row)}

    def captions(self, index: int) -> tuple[str, ...]:
        return given(self.annotation(index), "captions")

    def describe(self, row: Mapped) -> Record:
        record = {"id": row.place, "picture": row.paths[0]}
        return record if row.number is None else record | {"image_id": row.number}

    def pictures(self, row: Mapped) -> tuple[tuple[str, ...], ...]:
        return (row.paths,)

    def _label_map(self, row: Mapped) -> np.ndarray:
        folder, name = os.path.split(row.map_file)
        content = read_image((name,), (folder,), row.place)
        try:
            with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
                values, mode = np.asarray(picture), picture.mode
        except Exception as error:  # Pillow's plugins raise whatever their parser stumbles over
            raise UserError(f"{row.place}: {row.map_file} is no readable PNG: {error}.") from error
        return self._of_segments(row, values) if row.classes else _of_pixels(row, values, mode)

    def _of_segments(self, row: Mapped, values: np.ndarray) -> np.ndarray:
        """Classes of pixels that hold the number of their segment, R + 256 G + 65536 B."""
        if values.ndim != 3 or values.shape[2] != 3:
            raise UserError(f"{row.place}: {row.map_file} must have the colours of segments.")
        numbers, index = np.unique(values @ np.array([1, 256, 65536]), return_inverse=True)
        unknown = set(numbers.tolist()) - set(row.classes) - {0}
        if unknown:
            raise UserError(
                f"{row.place}: {row.map_file} has a segment {min(unknown)} that the annotations do "
                "not describe."
            )
        classes = [row.classes.get(number, NO_CLASS) for number in numbers.tolist()]
        return np.array(classes, np.uint8)[index].reshape(values.shape[:2])


def _of_pixels(row: Mapped, values: np.ndarray, mode: str) -> np.ndarray:
    """One less than pixels say, 0 of which are of no class."""
    if mode not in ("L", "P"):
        raise UserError(
            f"{row.place}: {row.map_file} must be a picture of 8 bits whose values are classes, "
            f"not of the mode {mode}."
        )
    return values - np.uint8(1)  # 0 begins again at NO_CLASS


def coco_panoptic_source(config: DataConfig, split: str, size: int) -> LabelMapSource:
    """panoptic_train2017.json and the like, with the folder of the same name beside it."""
    pattern, example = rf"panoptic_{split}(20\d\d)?\.json", f"panoptic_{split}2017.json"
    path = find(config, pattern, example)
    content, stem = read_json(path), os.path.splitext(os.path.basename(path))[0]
    above = os.path.dirname(os.path.abspath(path))
    beside = [os.path.join(folder, stem) for folder in (above, os.path.dirname(above))]
    maps = next((folder for folder in beside if os.path.isdir(folder)), None)
    if maps is None:
        raise UserError(f"There is no folder {' or '.join(beside)} with the maps of {path}.")
    categories = value(content, "categories", list, path)
    if len(categories) > NO_CLASS:
        raise UserError(f"{path} has {len(categories)} categories; a map holds {NO_CLASS} at most.")
    names = tuple(value(each, "name", str, f"{path}: a category") for each in categories)
    numbers = [value(each, "id", int, f"{path}: a category") for each in categories]
    order = {number: n for n, number in enumerate(numbers)}
    photos = {
        value(each, "id", int, f"{path}: an image"): value(each, "file_name", str, path)
        for each in value(content, "images", list, path)
    }

    def read(entry: dict) -> Mapped:
        number = value(entry, "image_id", int, f"{path}: an annotation")
        place = f"{path} image {number}"
        if number not in photos:
            raise UserError(f"{place} is not among the images.")
        classes = {}
        for segment in value(entry, "segments_info", list, place):
            category = value(segment, "category_id", int, place)
            if category not in order:
                raise UserError(f"{place} has a segment of an unknown category {category}.")
            classes[value(segment, "id", int, place)] = order[category]
        name = photos[number]
        paths = name, os.path.join(stem.removeprefix("panoptic_"), name)
        file = os.path.join(maps, value(entry, "file_name", str, place))
        return Mapped(place, paths, file, classes or {0: NO_CLASS}, number)

    rows = read_each(value(content, "annotations", list, path), read, config)
    require_rows(rows, path, split)
    return LabelMapSource(rows, image_folders(config, home(path)), names)


def ade20k_source(config: DataConfig, split: str, size: int) -> LabelMapSource:
    """images/SPLIT/*.jpg and annotations/SPLIT/*.png, whose values are classes from 1; 0 is none.

    SPLIT is "training" or "validation" in the published folder, which names its classes in
    objectInfo150.txt; `data.class_names` is a file of one's own.
    """
    folders = [os.path.join(config.path, kind, split) for kind in ("images", "annotations")]
    for folder in folders:
        if not os.path.isdir(folder):
            raise UserError(
                f"There is no folder {folder!r}; data.path must hold images/{split} and "
                f"annotations/{split}. Splits are set by data.train_split and data.eval_split."
            )
    rows = []
    for name in sorted(os.listdir(folders[0])):
        stem, ending = os.path.splitext(name)
        if ending.lower() in IMAGE_ENDINGS:
            place = os.path.join(folders[0], name)
            rows.append(Mapped(place, (name,), os.path.join(folders[1], f"{stem}.png"), {}))
    require_rows(rows, folders[0], split)
    return LabelMapSource(rows, (folders[0],), _class_names(config))


def _class_names(config: DataConfig) -> tuple[str, ...]:
    """Those of a file with one a line; of the published table the last column."""
    path = config.class_names or os.path.join(config.path, "objectInfo150.txt")
    if not config.class_names and not os.path.isfile(path):
        return ()
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.rstrip("\n").split("\t") for line in file if line.strip()]
    except OSError as error:
        raise UserError(f"data.class_names={path!r} cannot be read: {error}.") from error
    return tuple(cells[-1] for cells in lines if cells[0] != "Idx")
