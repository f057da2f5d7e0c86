"""Records of one text each: a question, or a statement about a picture or about two."""

from dataclasses import dataclass
from typing import Any

from vlx.data.shapes.pairs import STATEMENTS as PAIR_STATEMENTS
from vlx.data.shapes.questions import QUESTIONS, STATEMENTS
from vlx.data.shapes.source import ShapesPairSource, ShapesSource
from vlx.data.shapes.vocabulary import ANSWERS, YES_OR_NO

EACH = {  # what texts are about -> so many of a scene
    "questions": QUESTIONS,
    "open_questions": QUESTIONS // 2,  # those that yes and no do not answer
    "statements": STATEMENTS,
    "pairs": PAIR_STATEMENTS,
}


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
        return () if self._asks else ("false", "true")

    @property
    def answer_names(self) -> tuple[str, ...]:
        return ANSWERS if self._asks else ()

    @property
    def _asks(self) -> bool:
        return self.about.endswith("questions")

    @property
    def _field(self) -> str:
        """Of a scene's record, which holds the texts."""
        return "questions" if self._asks else "statements"

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
            return images | self._text(record, number)
        record = self._scenes("image", self._field)[scene]
        return {"image": record["image"]} | self._text(record, number)

    def annotation(self, index: int) -> dict[str, Any]:
        """The record without drawing its pictures."""
        scene, number = divmod(index, EACH[self.about])
        fields = () if self.about == "pairs" else (self._field,)
        return self._text(self._scenes(*fields)[scene], number)

    def captions(self, index: int) -> tuple[str, ...]:
        return self.annotation(index)["captions"]

    def _scenes(self, *fields: str) -> ShapesSource | ShapesPairSource:
        kind = ShapesPairSource if self.about == "pairs" else ShapesSource
        return kind(self.split, self.size, self.objects, fields)

    def _text(self, record: dict[str, Any], number: int) -> dict[str, Any]:
        """The text of this number; the few scenes with fewer texts begin again."""
        said = record[self._field]
        if self.about == "open_questions":
            said = [(text, answer) for text, answer in said if answer not in YES_OR_NO]
        text, answer = said[number % len(said)]
        result = {
            "captions": (text,),
            "picture": record["id"],
            "id": f"{record['id']}/{self.about}/{number}",
        }
        return result | ({"answers": (answer,)} if self._asks else {"label": int(answer)})
