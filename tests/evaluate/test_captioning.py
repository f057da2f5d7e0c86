"""Written captions: alike on any number of devices, kept beside their references."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlx.errors import UserError
from vlx.evaluate import build_evaluators

from tiny_run import NAMES, config, fresh_params, ready, write_pictures

PICTURES = 13  # no multiple of a batch


@pytest.fixture(scope="module")
def measure(tmp_path_factory):
    """Measures fresh parameters, and reads what was written."""
    folder = tmp_path_factory.mktemp("captioning")
    pictures = write_pictures(folder / "pictures")
    ready(folder / "run", config(pictures)).check_tokenizer()  # one vocabulary for all tests

    table = pq.read_table(pictures / "val.parquet")
    pq.write_table(table.take(list(range(PICTURES))[::-1]), pictures / "backwards.parquet")
    numbers = pa.array([90 + n // 2 for n in range(PICTURES)])  # two captions of each but the last
    pq.write_table(table.append_column("image_id", numbers), pictures / "numbered.parquet")

    def measure(devices: int, data=None, file="val", kind="captions", **evaluate):
        settings = {"names": ("captioning",), "batch_size": 8} | evaluate
        given = config(pictures, evaluate=settings, data=data or {})
        setup = ready(folder / "run", given, devices)
        metrics = dict(build_evaluators(setup)["captioning"](fresh_params(setup)))
        path = setup.workdir / "evaluations" / f"{kind}-{file}.json"
        return metrics, json.loads(path.read_text())

    return measure


@pytest.fixture(scope="module")
def alone(measure):
    return measure(1)


def test_eight_devices_write_the_same(measure, alone):
    metrics, captions = measure(8)
    assert metrics == pytest.approx(alone[0])
    assert [c["text"] for c in captions] == [c["text"] for c in alone[1]]
    assert set(metrics) == {"bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d"}


def test_every_picture_has_its_caption_and_its_references(alone):
    captions = alone[1]
    assert [c["index"] for c in captions] == list(range(PICTURES))
    expected = [[f"picture {n} of a {NAMES[n % 5]}"] for n in range(100, 100 + PICTURES)]
    assert [c["references"] for c in captions] == expected
    assert all(c["score"] < 0 for c in captions)


def test_references_are_those_of_the_pictures_where_class_names_are_captions(measure):
    classes = {"captions_from": "class_templates", "templates": ("a small {}.", "the {}.")}
    _, captions = measure(1, data=classes | {"eval_split": "backwards"}, file="backwards")
    expected = [[f"a small {NAMES[n % 5]}."] for n in range(99 + PICTURES, 99, -1)]
    assert [c["references"] for c in captions] == expected


def test_every_numbered_picture_is_predicted_once(measure, alone):
    data = {"eval_split": "numbered"}
    _, rows = measure(1, data=data, file="numbered", kind="caption-predictions")
    texts = [caption["text"] for caption in alone[1]]
    want = [{"image_id": 90 + n // 2, "caption": texts[n]} for n in range(0, PICTURES, 2)]
    assert rows == want


def test_captions_begin_with_the_prefix(measure):
    _, captions = measure(1, caption_prefix="picture", examples=3)
    assert len(captions) == 3
    assert all(c["text"].startswith("picture") for c in captions)


def test_beams_find_likelier_captions(measure, alone):
    _, captions = measure(1, decode={"method": "beam", "beams": 3, "length_penalty": 0.0})
    better = [b["score"] - a["score"] for a, b in zip(alone[1], captions, strict=True)]
    assert sum(better) > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decode": {"beam": 3}}, r"config\.evaluate\.decode.*beam.*did you mean 'beams'"),
        ({"decode": {"method": "best"}}, "choose from greedy, sample, beam"),
        ({"caption_prefix": "picture of a frog " * 9}, "leaves no room in captions of 12"),
    ],
)
def test_what_cannot_be_is_refused(measure, changes, message):
    with pytest.raises(UserError, match=message):
        measure(1, **changes)
