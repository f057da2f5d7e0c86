"""The index of a folder: nearest pictures, and what is encoded again."""

import numpy as np
import pytest
from data.pictures import encoded, picture

from vlx import search
from vlx.api import Model
from vlx.errors import UserError

from small_weights import pretrained


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model(pretrained(tmp_path_factory.mktemp("model")))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for n, name in enumerate(("a.png", "b.png", "more/c.png")):
        (folder / name).write_bytes(encoded(picture(n, 8, 12)))
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_a_picture_is_nearest_to_itself(model, photos):
    done = search.update(photos, model)
    assert done.index.names.tolist() == ["a.png", "b.png", "more/c.png"]
    assert (done.encoded, done.unreadable) == (3, ())
    for name in done.index.names:
        (found,) = search.nearest(done.index, model.encode_image(photos / name), 1)
        assert found[0] == name
        assert found[1] == pytest.approx(1, abs=1e-5)


def test_only_what_changed_is_encoded_again(model, photos):
    search.update(photos, model)
    assert search.update(photos, model).encoded == 0
    (photos / "b.png").write_bytes(encoded(picture(7, 9, 13)))
    (photos / "a.png").unlink()
    (photos / "d.png").write_bytes(encoded(picture(8, 8, 12)))
    done = search.update(photos, model)
    assert done.encoded == 2
    assert done.index.names.tolist() == ["b.png", "d.png", "more/c.png"]
    want = model.encode_image([photos / name for name in done.index.names])
    np.testing.assert_allclose(done.index.vectors, want, atol=1e-6)


def test_another_model_encodes_everything(model, photos, tmp_path):
    search.update(photos, model)
    other = Model(pretrained(tmp_path, seed=2))
    assert search.update(photos, other).encoded == 3


def test_unreadable_pictures_are_told_and_left_out(model, photos):
    (photos / "a.png").write_bytes(b"no picture")
    done = search.update(photos, model)
    assert done.index.names.tolist() == ["b.png", "more/c.png"]
    assert len(done.unreadable) == 1
    assert done.unreadable[0].startswith("a.png: unreadable image")


def test_the_index_can_lie_elsewhere(model, photos, tmp_path):
    search.update(photos, model, tmp_path / "index.npz")
    assert (tmp_path / "index.npz").exists()
    assert not (photos / search.INDEX).exists()
    assert search.update(photos, model, tmp_path / "index.npz").encoded == 0


def without_pictures(folder):
    for path in folder.rglob("*.png"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_pictures, r"holds no pictures \(\.avif"),
        (lambda f: (f / search.INDEX).write_bytes(b"x"), "no index of pictures, or is damaged"),
        (lambda f: (f / search.INDEX).mkdir(), "no index of pictures, or is damaged"),
    ],
)
def test_what_is_wrong_is_named(model, photos, spoil, message):
    spoil(photos)
    with pytest.raises(UserError, match=message):
        search.update(photos, model)


def test_places_that_are_not_there_are_named(model, photos, tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        search.update(tmp_path / "nowhere", model)
    with pytest.raises(UserError, match=r"cannot be written .* Give another --index"):
        search.update(photos, model, tmp_path / "nowhere" / "index.npz")
