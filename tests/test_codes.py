"""Codes made once for all epochs: what they are of, and that training with them is the same."""

import json
import resource
from dataclasses import replace
from itertools import islice

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_codes import CODES, GROUPS, ready

from vlx import codes
from vlx.data import train_batches
from vlx.data.codes import ABOUT, CodesWriter
from vlx.data.pipeline import read_pixels
from vlx.data.views import training_views
from vlx.errors import DONE, UserError
from vlx.train.log import read_metrics

from tiny_run import run, write_pictures

VIEWS = 3
RECORDS = 29


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pictures):
    return write(tmp_path_factory.mktemp("codes"), ready(pictures))


def write(folder, setup, views=VIEWS):
    codes.write(folder, setup, views, say=lambda _: None)
    return folder


def array(folder):
    return np.load(folder / "codes.npy")


def all_views(setup, folder, bad=()):
    """Image as bytes -> (number of the view, what the tokenizer sees of it), of good pictures."""
    seed = json.loads((folder / ABOUT).read_text())["seed"]
    source, data = setup.source("train"), setup.config.data
    found = {}
    for n in set(range(len(source))) - set(bad):
        pixels = read_pixels(source[n], "image", data)
        for k in range(VIEWS):
            rng = np.random.default_rng((seed, n, k))
            image, target = training_views(pixels, (16, 16), data, rng)
            found[image.tobytes()] = k, target
    return found


def batches(setup, count, **options):
    c = setup.config
    data = replace(c.data, **options.pop("data", {}))
    source, transform = setup.train_source, setup.transforms[0]
    with train_batches(source, transform, 8, c.seed, data, **options) as made:
        return [{k: np.array(v) for k, v in b.items()} for b in islice(made, count)]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        assert all(np.array_equal(a[name], b[name]) for name in a)


def test_the_folder_says_what_it_holds(folder):
    about = json.loads((folder / ABOUT).read_text())
    assert array(folder).shape == (RECORDS, VIEWS, 4)
    assert array(folder).dtype == np.uint16
    assert len(np.unique(array(folder))) > 2
    wanted = {"records": RECORDS, "done": RECORDS, "views": VIEWS, "patches": 4, "codes": CODES}
    assert {name: about[name] for name in wanted} == wanted
    assert about["data"]["flip"] is True


def test_large_codebooks_need_more_bytes(tmp_path):
    about = {"records": 2, "views": 1, "patches": 3, "codes": (1 << 16) + 1}
    with CodesWriter(tmp_path, about, 0) as writer:
        writer.add(np.full((2, 1, 3), 1 << 16))
    assert array(tmp_path).dtype == np.uint32
    assert (array(tmp_path) == 1 << 16).all()


def test_devices_change_nothing(folder, pictures, tmp_path):
    np.testing.assert_array_equal(array(write(tmp_path, ready(pictures, devices=8))), array(folder))


def test_a_batch_has_the_codes_of_what_it_shows(folder, pictures):
    setup = ready(pictures, codes=str(folder))
    shown = all_views(ready(pictures), folder)
    drawn = set()
    for batch in batches(setup, 8):
        assert set(batch) == {"image", "patch_mask", "codes", "weight"}
        assert (batch["codes"].dtype, batch["codes"].shape) == (np.int32, (8, 4))
        numbers, targets = zip(*(shown[image.tobytes()] for image in batch["image"]), strict=True)
        want = setup.constants["tokenizer"]("tokens", np.stack(targets))
        np.testing.assert_array_equal(batch["codes"], want)
        drawn |= set(numbers)
    assert drawn == set(range(VIEWS))


def test_a_step_is_that_of_the_tokenizer(folder, pictures):
    setup = ready(pictures, codes=str(folder))
    (known,) = batches(setup, 1)
    shown = all_views(ready(pictures), folder)
    targets = np.stack([shown[image.tobytes()][1] for image in known["image"]])
    fresh = {**{k: v for k, v in known.items() if k != "codes"}, "target_image": targets}

    def step(batch):
        with jax.set_mesh(setup.mesh):
            given = setup.new_state(), setup.place(batch), np.float32(0.1), setup.step_key
            return jax.device_get(setup.program.step(*given, setup.constants))

    got, want = step(known), step(fresh)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert got[1]["loss"] > 0


def test_evaluation_asks_the_tokenizer(folder, pictures):
    with_them, without = ready(pictures, codes=str(folder)), ready(pictures)
    record = with_them.source("val")[3]
    got, want = with_them.transforms[1](record), without.transforms[1](record)
    assert "target_image" in got
    assert_same([got], [want])


def test_a_restart_continues(folder, pictures):
    setup = ready(pictures, codes=str(folder))
    want = batches(setup, 6)
    assert_same(batches(setup, 4, start_example=16), want[2:])
    assert_same(batches(setup, 6, data={"threads": 3, "prefetch": 2}), want)


@pytest.mark.slow
def test_workers_change_nothing(folder, pictures, tmp_path):
    setup = ready(pictures, codes=str(folder))
    assert_same(batches(setup, 5, data={"workers": 2, "prefetch": 1}), batches(setup, 5))
    with_workers = write(tmp_path, ready(pictures, workers=2))
    np.testing.assert_array_equal(array(with_workers), array(folder))


def damage(pictures, row):
    """Puts words in place of a picture of the training split."""
    path = pictures / "train.parquet"
    table = pq.read_table(path)
    images = table["image"].to_pylist()
    images[row] = b"words"
    pq.write_table(table.set_column(0, "image", pa.array(images)), path)


def test_interrupted_work_goes_on_where_it_stopped(folder, tmp_path):
    pictures, other = write_pictures(tmp_path / "pictures"), tmp_path / "codes"
    damage(pictures, 17)
    with pytest.raises(UserError, match="unreadable image"):
        write(other, ready(pictures))
    done = json.loads((other / ABOUT).read_text())["done"]
    assert 0 < done <= 17
    with pytest.raises(UserError, match=rf"not finished: {done} of 29 records have codes; give"):
        ready(pictures, codes=str(other)).check()
    write_pictures(pictures)
    kept = np.load(other / "codes.npy", mmap_mode="r+")
    kept[0] = CODES - 1 - kept[0]  # what is there is not made again
    kept.flush()
    got = array(write(other, ready(pictures)))
    np.testing.assert_array_equal(got[1:], array(folder)[1:])
    np.testing.assert_array_equal(got[0], CODES - 1 - array(folder)[0])


def test_bad_records_have_others_in_their_place(tmp_path):
    pictures = write_pictures(tmp_path / "pictures")
    damage(pictures, 17)
    folder = write(tmp_path / "codes", ready(pictures, on_error="skip"))
    setup = ready(pictures, on_error="skip", codes=str(folder))
    shown = all_views(ready(pictures), folder, bad={17})
    for batch in batches(setup, 4):
        targets = np.stack([shown[image.tobytes()][1] for image in batch["image"]])
        want = setup.constants["tokenizer"]("tokens", targets)
        np.testing.assert_array_equal(batch["codes"], want)


def coded(folder):
    """Groups, the images of which have codes."""
    return {**GROUPS["groups"], "image": {"size": 8, "data": {"codes": str(folder)}}}


def test_a_group_has_codes_of_its_own(pictures, tmp_path):
    """The other group asks the tokenizer; both learn in the same step."""
    folder = write(tmp_path / "codes", ready(pictures, GROUPS).parts["image"], views=2)
    setup = ready(pictures, {**GROUPS, "groups": coded(folder)}, tmp_path / "run", devices=8)
    fields = {name: part.transforms[0].wanted.fields for name, part in setup.parts.items()}
    assert "codes" in fields["image"]
    assert "target_image" in fields["pair"]
    assert run(setup) == DONE
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert {"image_codes", "pair_codes"} <= lines[0].keys()
    assert "losses/image_codes" in lines[-1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flip": False}, "data.flip was True, is False"),
        ({"crop_scale": (0.5, 1.0)}, r"crop_scale was \[0.2, 1.0\], is \[0.5, 1.0\]"),
        ({"train_split": "val"}, "data.train_split was 'train', is 'val'"),
        ({"target_interpolation": "bicubic"}, "was 'lanczos', is 'bicubic'. Set what they were"),
    ],
)
def test_codes_of_other_views_are_refused(folder, pictures, changes, message):
    with pytest.raises(UserError, match=message):
        ready(pictures, codes=str(folder), **changes).check()
    with pytest.raises(UserError, match=message.partition(". Set")[0] + ". Give another --output"):
        write(folder, ready(pictures, **changes))


def test_codes_of_another_tokenizer_are_refused(folder, pictures):
    setup = ready(pictures, codes=str(folder))
    other = setup.constants["tokenizer"].replace(digest="another")
    setup = replace(setup, constants={"tokenizer": other})
    with pytest.raises(UserError, match="tokenizer was 'a digest', is 'another'"):
        setup.check()
    with pytest.raises(UserError, match="tokenizer was 'a digest', is 'another'"):
        _ = setup.train_source


def test_codes_of_other_records_are_refused(tmp_path):
    pictures = write_pictures(tmp_path / "pictures")
    folder = write(tmp_path / "codes", ready(pictures), views=1)
    path = pictures / "train.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(UserError, match="records was 29, is 28"):
        _ = ready(pictures, codes=str(folder)).train_source


def test_codes_for_another_grid_are_refused(folder, pictures):
    kind = {**GROUPS, "model": {**GROUPS["model"], "patch": 4}, "groups": coded(folder)}
    with pytest.raises(UserError, match="patches was 4, is 16"):
        ready(pictures, kind).check()
    with pytest.raises(UserError, match=r"4 codes for an image of 16 pixels, the model 16 patches"):
        write(folder, ready(pictures, kind).parts["pair"])


def test_a_missing_folder_is_named(pictures):
    with pytest.raises(UserError, match=r"data.codes='nowhere': there is no about.json"):
        ready(pictures, codes="nowhere").check()


def test_a_foreign_file_is_refused(pictures, tmp_path):
    (tmp_path / ABOUT).write_text("[]")
    with pytest.raises(UserError, match=r"about.json is not what python -m vlx codes writes"):
        ready(pictures, codes=str(tmp_path)).check()


def test_a_cut_file_is_refused(pictures, tmp_path):
    folder = write(tmp_path, ready(pictures), views=1)
    content = (folder / "codes.npy").read_bytes()
    (folder / "codes.npy").write_bytes(content[:-8])
    with pytest.raises(UserError, match=r"codes.npy cannot be read .*make the codes anew"):
        batches(ready(pictures, codes=str(folder)), 4)


def test_a_task_without_codes_is_refused(folder, pictures, tmp_path):
    classes = {"task": "beit", "loss": {"classes": 1.0}, "model": {"preset": "tiny"}}
    classes["model"] |= {"image_size": 16, "patch": 8, "classes": 5, "codes": 0}
    with pytest.raises(UserError, match=r"data.codes='.*' is for tasks, or groups of a batch, th"):
        ready(pictures, classes, codes=str(folder)).check()
    with pytest.raises(UserError, match=r"python -m vlx codes is for tasks, or groups of a batch"):
        write(tmp_path, ready(pictures, classes))


def test_what_cannot_be_made_is_refused(pictures, tmp_path):
    with pytest.raises(UserError, match="--views=0 must be at least 1"):
        write(tmp_path, ready(pictures), views=0)
    with pytest.raises(UserError, match=r"data.target_size=0, but the task reads second views"):
        write(tmp_path, ready(pictures, target_size=0))
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_told_at_once(tmp_path):
    about = {"records": 1 << 20, "views": 4, "patches": 4, "codes": CODES}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(UserError, match=r"cannot be written: .*The codes take 32.0 MiB"):
            CodesWriter(tmp_path / "codes", about, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
