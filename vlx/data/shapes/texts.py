"""Records of one text each: a question, or a statement about a picture or about two."""

from dataclasses import dataclass
from typing import Any

from vlx.data.shapes.pairs import STATEMENTS as PAIR_STATEMENTS
from vlx.data.shapes.questions import QUESTIONS, STATEMENTS
from vlx.data.shapes.source import ShapesPairSource, ShapesSource
from vlx.data.shapes.vocabulary import ANSWERS

EACH = {"questions": QUESTIONS, "statements": STATEMENTS, "pairs": PAIR_STATEMENTS}  # of a scene


@dataclass(frozen=True)
class ShapesTextSource:
    """Every question, or statement, of every scene once; those of a scene follow each other."""

    about: str  # a key of EACH
    split: str = "train"
    size: int = 64
    objects: tuple[int, int] = (1, 6)  # fewest and most

    @property
    def class_names(self) -> tuple[str, ...]:
        """What labels mean."""
        return () if self.about == "questions" else ("false", "true")

    @property
    def answer_names(self) -> tuple[str, ...]:
        return ANSWERS if self.about == "questions" else ()

    def __len__(self) -> int:
        return len(self._scenes("image")) * EACH[self.about]

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"shapes: record {index} of {len(self)}")
        scene, number = divmod(index, EACH[self.about])
        if self.about == "pairs":
            record = self._scenes("image")[scene]
            pictures = record["left"]["image"], record["right"]["image"]
            images = dict(zip(("image", "second_image"), pictures, strict=True))
            return images | _texts(record, "statements", number)
        record = self._scenes("image", self.about)[scene]
        return {"image": record["image"]} | _texts(record, self.about, number)

    def annotation(self, index: int) -> dict[str, Any]:
        """The record without drawing its pictures."""
        scene, number = divmod(index, EACH[self.about])
        if self.about == "pairs":
            return _texts(self._scenes()[scene], "statements", number)
        return _texts(self._scenes(self.about)[scene], self.about, number)

    def captions(self, index: int) -> tuple[str, ...]:
        return self.annotation(index)["captions"]

    def _scenes(self, *fields: str) -> ShapesSource | ShapesPairSource:
        kind = ShapesPairSource if self.about == "pairs" else ShapesSource
        return kind(self.split, self.size, self.objects, fields)


def _texts(record: dict[str, Any], about: str, number: int) -> dict[str, Any]:
    """The text of this number; the few scenes with fewer texts begin again."""
    said = record[about]
    text, answer = said[number % len(said)]
    result = {
        "captions": (text,),
        "picture": record["id"],
        "id": f"{record['id']}/{about}/{number}",
    }
    return result | ({"answers": (answer,)} if about == "questions" else {"label": int(answer)})
