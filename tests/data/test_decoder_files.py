"""decode: difficult picture files do what their list says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlx.data.augment import evaluation_resize
from vlx.data.decode import decode
from vlx.errors import UserError

FOLDER = Path(__file__).parents[1] / "data_files" / "decoder"
LIST = [json.loads(line) for line in (FOLDER / "files.jsonl").read_text().splitlines()]
GOOD = [row for row in LIST if row["expect"] == "decodes"]
DAMAGED = [row for row in LIST if row["expect"] != "decodes"]

# Pictures of the same scene, stored in other ways.
HOPPER = ("hopper.webp", "hopper.gif", "hopper_orientation_6.webp", "avif_hopper.avif")
LANDSCAPE = ("Landscape_6.jpg", "progressive.jpg")


def pixels(name: str) -> np.ndarray:
    return decode((FOLDER / name).read_bytes())


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over 30 x 20 pixels of both pictures."""
    a, b = (evaluation_resize(x, (20, 30), "squash").astype(float) for x in (a, b))
    return np.abs(a - b).mean()


def names(rows: list[dict]) -> list[str]:
    return [row["file"] for row in rows]


def test_the_list_is_complete():
    files = {path.name for path in FOLDER.iterdir()} - {"files.jsonl", "README.md"}
    assert {name for name in files if not name.startswith("LICENSE")} == set(names(LIST))


@pytest.mark.parametrize("row", GOOD, ids=names(GOOD))
def test_good_files_decode_upright(row):
    image = pixels(row["file"])
    size = row["height"], row["width"]
    turned = (row["exif_orientation"] or 1) >= 5
    assert image.shape == (*(size[::-1] if turned else size), 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("row", DAMAGED, ids=names(DAMAGED))
def test_damaged_files_are_told(row):
    with pytest.raises(UserError, match=re.escape(f"unreadable image ({row['bytes']} bytes)")):
        pixels(row["file"])


@pytest.mark.parametrize("name", HOPPER)
def test_formats_and_orientations_show_the_same_portrait(name):
    assert difference(pixels(name), pixels("hopper.jpg")) < 6


@pytest.mark.parametrize("name", LANDSCAPE)
def test_a_turned_camera_shows_the_same_landscape(name):
    assert difference(pixels(name), pixels("Landscape_1.jpg")) < 6


@pytest.mark.parametrize("name", ["apng_delay.png", "dispose_bgnd.gif", "animated.webp"])
def test_of_an_animation_the_first_picture_is_seen(name):
    with Image.open(FOLDER / name) as image:
        image.seek(0)
        np.testing.assert_array_equal(pixels(name), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("name", ["hopper.jpg", "hopper.webp", "Landscape_6.jpg"])
def test_a_huge_picture_is_refused_by_its_header(name, monkeypatch):
    def decoded(*_, **__):
        raise AssertionError("the pixels were decoded")

    monkeypatch.setattr("vlx.data.decode.simplejpeg.decode_jpeg", decoded)
    monkeypatch.setattr("vlx.data.decode.ImageOps.exif_transpose", decoded)
    data = (FOLDER / name).read_bytes()
    with pytest.raises(UserError, match=r"too large: \d+ x \d+ pixels; .* data.max_pixels=9999"):
        decode(data, max_pixels=9999)


def test_documents_are_no_pictures():
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with pytest.raises(UserError, match="no known format"):
        decode(eps)
