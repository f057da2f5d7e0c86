"""Captions written by vlx beside open_clip's `generate`: same weights, same images, same tokens.

    python benchmarks/generate.py [--preset=coca_ViT-B-32] [--batches=1,8] [--tokens=64]
        [--beams=1] [--dtype=float32] [--repeats=2] [--cores=2] [--device=gpu]

One beam is greedy search, more are open_clip's search over raw logits, in both. No text may end
before its last token. Medians of calls in a row, image encoder included; vlx was compiled before,
which is shown apart. `make peers` installs open_clip.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from peers import process
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="coca_ViT-B-32", help="one that both have")
    parser.add_argument("--batches", default="1,8", help="numbers of images, by commas")
    parser.add_argument("--tokens", type=int, default=64, help="of a text, start included")
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--cores", type=int, default=2, help="CPU cores; 0: all")
    parser.add_argument("--device", default="", help="cpu or gpu; empty: what JAX finds")
    return parser.parse_args()


class Ours:
    """vlx with open_clip's weights."""

    def __init__(self, c: argparse.Namespace, weights: Path):
        from dataclasses import replace

        import jax
        from flax.traverse_util import unflatten_dict
        from safetensors.numpy import load_file

        from vlx.decode import DecodeOptions, Ids
        from vlx.interop import open_clip_coca
        from vlx.interop.table import to_vlx
        from vlx.layers.stack import Compute
        from vlx.models.coca import CONFIGS, Coca

        config = replace(CONFIGS[c.preset], compute=Compute(dtype=c.dtype, scan=False))
        flat = to_vlx(open_clip_coca.table(config), load_file(weights))
        self._model, self._params = Coca(config), jax.device_put(unflatten_dict(flat, sep="/"))
        words = config.text.vocabulary
        self._ids = Ids(start=words - 2, end=words - 1)
        common = {"max_length": c.tokens, "min_length": c.tokens - 1}
        search = {"method": "beam", "beams": c.beams, "score": "raw_logits"}
        self._options = DecodeOptions(**common | (search if c.beams > 1 else {}))

    def run(self, image: np.ndarray) -> dict:
        from vlx.decode import generate

        start = time.perf_counter()
        text, _ = generate(self._model, self._params, image, self._options, self._ids)
        text = np.asarray(text).tolist()
        return {"seconds": time.perf_counter() - start, "text": text}


def measure(c: argparse.Namespace, size: int, ours: Ours, peer, images: Path) -> list[str]:
    """A row of the table."""
    pixels = np.random.default_rng(size).standard_normal((size, 224, 224, 3)).astype(np.float32)
    np.save(images, pixels)
    compile_seconds = ours.run(pixels)["seconds"]
    calls = {"vlx": lambda: ours.run(pixels), "open_clip": lambda: peer.ask(images=str(images))}
    texts = {}

    def timed(name):
        answer = calls[name]()
        texts[name] = answer["text"]
        return {"seconds": answer["seconds"]}

    values = process.in_turn({n: (lambda n=n: timed(n)) for n in calls}, 1, c.repeats)
    seconds = {name: value["seconds"] for name, value in values.items()}
    written = size * (c.tokens - 1)
    same = np.mean(np.asarray(texts["vlx"]) == np.asarray(texts["open_clip"]))
    return [
        str(size),
        *(f"{written / seconds[name]:.1f}" for name in calls),
        f"{seconds['open_clip'] / seconds['vlx']:.1f} x",
        f"{same:.1%}",
        f"{compile_seconds - seconds['vlx']:.1f} s",
    ]


def main():
    c = flags()
    device, where = process.machine(c.cores, c.device)
    console = Console(width=120, highlight=False)
    if not process.installed():
        console.print(process.ABSENT.replace("vlx stands alone", "there is no weight to share"))
        return
    search = "greedy" if c.beams == 1 else f"{c.beams} beams"
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        settings = {"preset": c.preset, "tokens": c.tokens, "beams": c.beams, "dtype": c.dtype}
        peer = process.Peer("generate", weights=weights, device=device.platform, **settings)
        ours = Ours(c, weights)
        title = f"{c.preset}, {search}, {c.tokens} tokens, {c.dtype}, {where}; tokens a second"
        table = Table("images", "vlx", peer.about["name"], "ratio", "same tokens", "compile",
                      title=title)  # fmt: skip
        for size in map(int, c.batches.split(",")):
            table.add_row(*measure(c, size, ours, peer, Path(folder) / "images.npy"))
        peer.close()
    console.print(table)


if __name__ == "__main__":
    main()
