"""Training pictures a second from JPEG files: vlx beside torch's DataLoader with Pillow.

    python benchmarks/input_pipeline.py [--folder=PHOTOS] [--size=224] [--images=512]
        [--batch=64] [--threads=16] [--workers=0] [--peer_workers=1,2] [--repeats=3] [--cores=2]

Both read the same files, decode, take a random crop of 90 to 100 % of the area and resize it to
`size` with Pillow's antialiased bicubic filter, and stack batches. vlx also tokenises a caption.
The peer is measured twice: with uint8 pixels, and with normalised floats, which is what open_clip's
transform hands over (vlx normalises on the device). vlx is measured with the same pixels, and with
`fast_decode` and each quicker filter. They run in turn; the table shows medians.
CPU seconds are those of all threads and worker processes. Without --folder the JPEGs are drawn from
the shapes world, 300 of 512 x 512 pixels: smoother than photos, so quicker to decode.
`make peers` installs torch.
"""

import argparse
import io
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from peers import process
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

DRAWN, SIDE = 300, 512
ENDINGS = (".jpg", ".jpeg")


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", default="", help="of JPEGs; empty: drawn ones")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--images", type=int, default=512, help="of a timed run")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=16, help="of vlx, but no more than cores")
    parser.add_argument("--workers", type=int, default=0, help="processes of vlx")
    parser.add_argument("--peer_workers", default="1,2", help="processes of the DataLoader")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2, help="0: all")
    return parser.parse_args()


def draw(folder: Path) -> dict[str, str]:
    """Writes JPEGs of shapes scenes; their captions by path."""
    from PIL import Image

    from vlx.data.shapes import ShapesSource

    source, captions = ShapesSource(size=SIDE), {}
    for index in range(DRAWN):
        record, path = source[index], folder / f"{index:03}.jpg"
        content = io.BytesIO()
        Image.fromarray(record["image"]).save(content, "JPEG", quality=90)
        path.write_bytes(content.getvalue())
        captions[str(path)] = record["captions"][0]
    return captions


def find(folder: Path) -> dict[str, str]:
    """The JPEGs of a folder; their names stand in for captions."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if not paths:
        raise SystemExit(f"--folder={folder} has no {' or '.join(ENDINGS)} files.")
    return {str(path.resolve()): f"a photo named {path.stem}" for path in paths}


class Ours:
    """vlx's training batches of a list of pictures."""

    def __init__(self, c: argparse.Namespace, captions: dict[str, str], folder: Path, **settings):
        from vlx.data import (
            DataConfig,
            TokenizerConfig,
            build_source,
            build_tokenizer,
            build_transforms,
        )

        lines = [{"image": path, "caption": text} for path, text in captions.items()]
        (folder / "train.jsonl").write_text("".join(f"{json.dumps(x)}\n" for x in lines))
        self._config = DataConfig(
            source="jsonl", path=str(folder), threads=c.threads, workers=c.workers, **settings
        )
        tokens = TokenizerConfig(vocab_size=1000)
        self._source = build_source(self._config, "train", c.size)
        tokenizer = build_tokenizer(tokens, str(folder / "tokenizer"), lambda: self._source)
        self._transform = build_transforms(self._config, tokens, tokenizer, (c.size, c.size))[0]
        self._batch, self._images = c.batch, c.images

    def run(self) -> dict[str, float]:
        """Images a second, and a second of CPU time, from the start of the loader."""
        from vlx.data import train_batches

        start, cpu = time.perf_counter(), process.cpu_seconds()
        with train_batches(self._source, self._transform, self._batch, 0, self._config) as batches:
            for _ in range(self._images // self._batch):
                image = next(batches)["image"]
            cpu = process.cpu_seconds() - cpu
            seconds = time.perf_counter() - start
        assert image.shape[0] == self._batch
        return {"images": self._images / seconds, "images_cpu": self._images / cpu}


def main():
    c = flags()
    cores = process.pin(c.cores)
    c.images -= c.images % c.batch
    console = Console(width=120, highlight=False)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        captions = find(Path(c.folder)) if c.folder else draw(scratch)
        how = f"vlx, {c.workers} workers" if c.workers else f"vlx, up to {c.threads} threads"
        calls = {how: Ours(c, captions, scratch).run}
        for name in ("area", "linear"):
            quick = Ours(c, captions, scratch, fast_decode=True, interpolation=name)
            calls[f"{how}, fast_decode, {name}"] = quick.run
        peer = None
        if process.installed():
            settings = {"size": c.size, "images": c.images, "batch": c.batch}
            peer = process.Peer("input_pipeline", listing=scratch / "train.jsonl", **settings)
            for workers in map(int, c.peer_workers.split(",")):
                for floats in (False, True):
                    what = "floats" if floats else "uint8"
                    name = f"DataLoader, {workers} workers, {what}"
                    calls[name] = partial(peer.ask, workers=workers, floats=floats)
        else:
            console.print(process.ABSENT)
        results = process.in_turn(calls, c.repeats)
        if peer:
            peer.close()

    kind = f"{len(captions)} {'JPEGs of ' + c.folder if c.folder else 'drawn JPEGs'}"
    beside = f", beside {peer.about['name']}" if peer else ""
    title = f"{kind} to {c.size} px, {cores} cores{beside}, median of {c.repeats}"
    table = Table(title=title)
    for name in ("", "images / s", "images / CPU second", "vlx, per CPU second"):
        table.add_column(name, justify="right" if name else "left")
    first = next(iter(results.values()))["images_cpu"]
    for name, value in results.items():
        faster = f"{first / value['images_cpu']:.2f} x"
        table.add_row(name, f"{value['images']:,.0f}", f"{value['images_cpu']:,.0f}", faster)
    console.print(table)


if __name__ == "__main__":
    main()
