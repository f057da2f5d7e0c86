"""Draws docs/images/shapes.png: scenes with captions and answers, and one with its dense truths.

python docs/make_shapes_picture.py
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vlx.data.shapes import FIELDS, ShapesSource

SCENES = (2, 58, 30, 22, 48)  # of split val; chosen by eye
DENSE = 53
SIDE, GAP, TEXT = 232, 16, 150
PAPER, INK, FAINT = (255, 255, 255), (30, 32, 40), (110, 114, 126)
PALETTE = np.array(  # background, then objects
    [
        (236, 237, 241),
        (76, 120, 168),
        (214, 110, 16),
        (68, 140, 62),
        (214, 72, 74),
        (150, 90, 150),
        (150, 120, 30),
    ],
    np.uint8,
)
SMALL, BOLD = ImageFont.load_default(13), ImageFont.load_default(14)


def main() -> None:
    source = ShapesSource("val", SIDE, fields=tuple(FIELDS))
    width = GAP + len(SCENES) * (SIDE + GAP)
    sheet = Image.new("RGB", (width, 2 * (SIDE + GAP) + TEXT + 44), PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, index in enumerate(SCENES):
        record, left = source[index], GAP + column * (SIDE + GAP)
        sheet.paste(Image.fromarray(record["image"]), (left, GAP))
        _write_texts(pen, record["captions"][0], record["questions"][column], left)
    top = 2 * GAP + SIDE + TEXT
    for column, (name, panel) in enumerate(_panels(source[DENSE]).items()):
        left = GAP + column * (SIDE + GAP)
        sheet.paste(panel, (left, top))
        pen.text((left, top + SIDE + 6), name, INK, BOLD)
    path = Path(__file__).parent / "images" / "shapes.png"
    path.parent.mkdir(exist_ok=True)
    sheet.save(path, optimize=True)
    print(f"{path}: {sheet.size[0]} x {sheet.size[1]}, {path.stat().st_size / 1000:.0f} kB")


def _write_texts(pen: ImageDraw.ImageDraw, caption: str, asked: tuple, left: int) -> None:
    """The full caption in ink, then a question with its answer."""
    top = GAP + SIDE + 8
    for text, ink in ((caption, INK), (" ".join(asked), FAINT)):
        for line in _wrap(text):
            pen.text((left, top), line, ink, SMALL)
            top += 17
        top += 5


def _wrap(text: str) -> list[str]:
    """Lines no wider than a picture."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if SMALL.getlength(longer) <= SIDE:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _panels(record: dict) -> dict[str, Image.Image]:
    depth = record["depth"]
    grey = 255 * (depth.max() - depth) / (depth.max() - depth.min())
    # Normals lean little: stretched, so that one can see them.
    normals = 127.5 + 127.5 * np.clip(record["normals"] * (3, 3, 1), -1, 1)
    return {
        "phrases with boxes": _boxes(record),
        "instances": Image.fromarray(PALETTE[record["instances"]]),
        "depth, near is bright": Image.fromarray(grey.astype(np.uint8)).convert("RGB"),
        "surface normals": Image.fromarray(normals.astype(np.uint8)),
        "edges": Image.fromarray(255 - 225 * record["edges"]).convert("RGB"),
    }


def _boxes(record: dict) -> Image.Image:
    """The picture with the box of each single object, in the colour of its instance."""
    image = Image.fromarray(record["image"])
    pen = ImageDraw.Draw(image)
    phrases = [(text, boxes[0]) for text, boxes in record["phrases"] if len(boxes) == 1]
    for colour, (text, box) in zip(PALETTE[1:].tolist(), phrases, strict=False):
        left, top, right, bottom = (round(float(x) * SIDE) for x in box)
        pen.rectangle((left, top, right - 1, bottom - 1), outline=tuple(colour), width=2)
        words = text.removeprefix("the ")
        width = round(SMALL.getlength(words)) + 7
        left, top = min(left, SIDE - width), max(top - 17, 0)
        pen.rectangle((left, top, left + width, top + 17), tuple(colour))
        pen.text((left + 4, top + 1), words, PAPER, SMALL)
    return image


if __name__ == "__main__":
    main()
