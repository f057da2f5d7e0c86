"""Small data sets that tests make for themselves."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data.pictures import encoded, picture, write_jsonl

NAMES = ("frog", "ship", "horse")


@pytest.fixture
def parquet_folder(tmp_path):
    """train.parquet with 23 labelled pictures in groups of 5, val.parquet with 7, class names."""
    for split, first, count in (("train", 0, 23), ("val", 100, 7)):
        numbers = range(first, first + count)
        columns = {
            "image": [encoded(picture(n)) for n in numbers],
            "label": pa.array([n % 3 for n in numbers], pa.int32()),
            "text": [f"picture number {n} of a {NAMES[n % 3]}" for n in numbers],
        }
        pq.write_table(pa.table(columns), tmp_path / f"{split}.parquet", row_group_size=5)
    (tmp_path / "classnames.txt").write_text("\n".join(NAMES) + "\n")
    return tmp_path


@pytest.fixture
def jsonl_folder(tmp_path):
    """captions.jsonl: 11 rows for train and 5 for val, mixed; two captions each; images/."""
    (tmp_path / "images").mkdir()
    rows = []
    for n in range(16):
        (tmp_path / "images" / f"{n}.png").write_bytes(encoded(picture(n)))
        split = "val" if n % 3 == 1 else "train"
        captions = [f"first words on {n}", f"other words on {n}"]
        rows.append({"image": f"images/{n}.png", "captions": captions, "split": split})
    write_jsonl(tmp_path / "captions.jsonl", rows)
    return tmp_path
