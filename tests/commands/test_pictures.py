"""caption and search from outside."""

import pytest
from commands.call import vlx
from data.pictures import encoded, picture

from vlx.interop import native

from small_weights import plain_clip, pretrained


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model and a folder of pictures."""
    folder = tmp_path_factory.mktemp("place")
    native.save(folder / "model", pretrained(folder))
    native.save(folder / "clip", pretrained(folder, plain_clip()))
    (folder / "photos").mkdir()
    for n in range(3):
        (folder / "photos" / f"{n}.png").write_bytes(encoded(picture(n, 8, 12)))
    (folder / "photos" / "broken.jpg").write_bytes(b"x")
    return folder


def test_a_caption_for_each_picture(place):
    paths = [place / "photos" / f"{n}.png" for n in range(2)]
    done = vlx("caption", *paths, f"--model={place / 'model'}", "--prefix=a red", "--beams=2")
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == [str(path) for path in paths]
    assert all(line[1].startswith("a red") for line in lines)


def test_a_search_tells_what_it_encoded_and_what_it_skipped(place):
    words = ("search", "a red square", place / "photos", f"--model={place / 'model'}", "--top=2")
    done = vlx(*words)
    assert done.returncode == 0, done.stderr
    assert "3 pictures, 3 encoded now" in done.stderr
    assert "skipped broken.jpg: unreadable image" in done.stderr
    first, second = (line.split("\t") for line in done.stdout.splitlines())
    assert float(first[0]) >= float(second[0])
    again = vlx(*words)
    assert again.stdout == done.stdout
    assert "3 pictures, 0 encoded now" in again.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("caption", "x.png"), "python -m vlx caption photo.jpg --model=runs/a"),
        (("caption", "x.png", "--model=MODEL", "--beams=0"), "--beams=0 must be at least 1"),
        (("caption", "x.png", "--model=MODEL"), "x.png cannot be read: No such file"),
        (("caption", "x.png", "--model=CLIP"), "Clip cannot write: it has no decoder"),
        (("search", "a cat"), 'python -m vlx search "a cat" photos --model=runs/a'),
        (("search", "a cat", "nowhere", "--model=MODEL"), "nowhere is no folder"),
    ],
)
def test_mistakes_end_with_one_message(place, words, message):
    names = {"MODEL": str(place / "model"), "CLIP": str(place / "clip")}
    for name, path in names.items():
        words = [word.replace(name, path) for word in words]
    done = vlx(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
