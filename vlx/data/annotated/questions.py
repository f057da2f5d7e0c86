"""Questions and answers of VQA v2, as its authors publish them."""

import os
from dataclasses import replace
from typing import NamedTuple

from vlx.data.annotated.form import (
    AnnotatedSource,
    find,
    read_each,
    read_json,
    require_rows,
    text,
    value,
)
from vlx.data.choose import check
from vlx.data.config import DataConfig
from vlx.data.image_files import image_folders
from vlx.data.records import Record
from vlx.errors import UserError

# split -> the authors' split, and the folder of its photos
FILES = {"train": "train", "val": "val", "restval": "val", "minival": "val",
         "test": "test", "test-dev": "test-dev"}  # fmt: skip
PHOTOS = {"train": "train2014", "val": "val2014", "test": "test2015", "test-dev": "test2015"}
MINIVAL = 1000  # images: the last ones of val, by their numbers


class Question(NamedTuple):
    file: str  # a key of PHOTOS
    image: int
    number: int
    text: str
    answer: str = ""  # the most common
    answers: tuple[str, ...] = ()  # of all annotators
    kind: str = ""


class VqaSource(AnnotatedSource):
    """A question a record, of the photos of COCO."""

    def __init__(self, rows: list[Question], folders: tuple[str, ...], files: dict[str, str]):
        super().__init__(rows, folders)
        self._files = files

    def describe(self, row: Question) -> Record:
        record = {
            "id": f"{self._files[row.file]} question {row.number}",
            "captions": (row.text,),
            "question_id": row.number,
            "picture": str(row.image),
        }
        if row.answers:
            record |= {"answers": row.answers, "answer": row.answer, "answer_type": row.kind}
        return record

    def pictures(self, row: Question) -> tuple[tuple[str, ...], ...]:
        """As COCO named photos in 2014, or since 2017."""
        folder, new = PHOTOS[row.file], f"{row.image:012}.jpg"
        old = f"COCO_{folder}_{new}"
        return ((os.path.join(folder, old), old, new, f"train2017/{new}", f"val2017/{new}"),)


def vqa_source(config: DataConfig, split: str, size: int) -> VqaSource:
    """The questions of a split, or of several: "train+restval".

    `minival` are those of the last 1000 images of val, `restval` those of the others. An empty
    split is train+val. Questions of the test splits have no answers.
    """
    rows, files = [], {}
    names = (split or "train+val").split("+")
    for name in names:
        check(name, FILES, f"the split of {config.source}")
    for file in dict.fromkeys(FILES[name] for name in names):
        files[file] = _find(config, file, "questions")
        found = _read(config, file, files[file])
        last = set(sorted({row.image for row in found})[-MINIVAL:])
        for name in (name for name in names if FILES[name] == file):
            rows += [
                row for row in found if name == file or (row.image in last) == (name == "minival")
            ]
    require_rows(rows, " and ".join(files.values()), split)
    return VqaSource(rows, image_folders(config, config.path), files)


def _read(config: DataConfig, file: str, path: str) -> list[Question]:
    annotated = {} if file.startswith("test") else _annotations(config, file)

    def question(entry: dict) -> Question:
        number = value(entry, "question_id", int, f"{path}: a question")
        place = f"{path} question {number}"
        image = value(entry, "image_id", int, place)
        given = file, image, number, text(entry, "question", place)
        if file.startswith("test"):
            return Question(*given)
        if number not in annotated:
            raise UserError(f"{place} has no annotation; the annotation file must be its own.")
        answered = annotated[number]
        answers = tuple(
            value(each, "answer", str, place) for each in value(answered, "answers", list, place)
        )
        common = value(answered, "multiple_choice_answer", str, place)
        return Question(*given, common, answers, answered.get("answer_type", ""))

    return read_each(value(read_json(path), "questions", list, path), question, config)


def _annotations(config: DataConfig, file: str) -> dict[int, dict]:
    path = _find(config, file, "annotations")
    entries = value(read_json(path), "annotations", list, path)
    return {value(e, "question_id", int, f"{path}: an annotation"): e for e in entries}


def _find(config: DataConfig, file: str, kind: str) -> str:
    usual = {"questions": "v2_OpenEnded_mscoco", "annotations": "v2_mscoco"}[kind]
    pattern = rf"{usual}_{file}(20\d\d)?_{kind}\.json"
    folder = replace(config, file="")  # two files make a split, so none is named
    return find(folder, pattern, f"{usual}_{PHOTOS[file].replace('test', file)}_{kind}.json")
