"""Loads vlx's exports in open_clip itself, strictly, and compares what the two compute.

    make peers && python experiments/open_clip_round_trip.py

A CoCa and two CLIPs with random weights go to open_clip's files; open_clip builds each from its
config alone, loads the weights with strict=True and embeds the same pictures and texts. Prints the
largest differences; exit code 1 if one exceeds 1e-4.

Result with open_clip 3.3.0: CoCa 1.3e-7 (image), 2.1e-7 (text), 1.8e-6 (logits);
CLIP 2.8e-7 in both layouts. Half a minute on two cores.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
from flax.traverse_util import flatten_dict

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from vlx.interop import official  # noqa: E402
from vlx.interop.pretrained import Pixels, Pretrained  # noqa: E402
from vlx.layers.text import TextConfig  # noqa: E402
from vlx.layers.transformer import TransformerConfig  # noqa: E402
from vlx.layers.vision import PoolerConfig, VisionConfig  # noqa: E402
from vlx.models.clip import Clip, ClipConfig  # noqa: E402
from vlx.models.coca import Coca, CocaConfig, DecoderConfig  # noqa: E402

PEER = ROOT / "benchmarks" / "peers" / "open_clip_outputs.py"
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
TOLERANCE = 1e-4
VOCABULARY, LENGTH, SIZE = 1000, 17, 32
TOWER = TransformerConfig(width=128, layers=3, heads=2, hidden=512)


def models() -> dict[str, Clip]:
    """What is exported, by name; the format stands before the comma."""
    vision = VisionConfig((SIZE, SIZE), 8, TOWER)
    classed = TextConfig(VOCABULARY, LENGTH, TOWER, mask="legacy")
    plain = TextConfig(VOCABULARY, LENGTH, TOWER, pooling="argmax", norm_tokens=True)
    pooled = VisionConfig(
        (SIZE, SIZE), 8, TOWER, pooling="shared_queries", pooler=PoolerConfig(7, heads=4)
    )
    decoder = DecoderConfig(TOWER, VOCABULARY, "separate_mlp")
    return {
        "open_clip_coca": Coca(
            CocaConfig(vision=pooled, text=classed, decoder=decoder, embedding=128)
        ),
        "clip": Clip(ClipConfig(vision, plain, 64)),
        "clip, text tower apart": Clip(ClipConfig(vision, classed, 64, logit_bias=-10.0)),
    }


def random_parameters(model: Clip, image, text) -> dict:
    """Weights all away from zero, so that none can be swapped unseen."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), image, text))["params"]
    rng = np.random.default_rng(0)

    def draw(path, x):
        center = 1.0 if path[-1].key == "scale" else 0.0
        return (center + 0.05 * rng.standard_normal(x.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def compare(name: str, model: Clip, folder: Path) -> float:
    """Exports, has open_clip compute, and prints the largest difference of each output."""
    rng = np.random.default_rng(1)
    image = rng.standard_normal((3, SIZE, SIZE, 3)).astype(np.float32)
    text = rng.integers(1, VOCABULARY, (3, LENGTH)).astype(np.int32)
    text[0, 9:] = 0  # padding
    params = random_parameters(model, image, text)
    pretrained = Pretrained(model, flatten_dict(params, sep="/"), Pixels((SIZE, SIZE)))
    official.write(folder / "export", pretrained, name.partition(",")[0])
    np.savez(folder / "inputs.npz", image=image.transpose(0, 3, 1, 2), text=text)
    subprocess.run([PYTHON, PEER, folder], check=True)
    theirs = np.load(folder / "outputs.npz")
    with jax.default_matmul_precision("highest"):
        out = jax.jit(model.apply)({"params": params}, image, text)
    if isinstance(model, Coca):
        # open_clip leaves out the last position, which predicts nothing.
        ours = {"image": out.image, "text": out.text, "logits": out.logits[:, :-1]}
    else:
        ours = {"image": out[0], "text": out[1]}
    differences = {
        key: float(np.abs(np.asarray(ours[key]) - theirs[key]).max()) for key in theirs.files
    }
    print(f"{name}: {json.dumps(differences)}")
    return max(differences.values())


def main() -> int:
    worst = 0.0
    for name, model in models().items():
        with tempfile.TemporaryDirectory() as folder:
            worst = max(worst, compare(name, model, Path(folder)))
    print(f"largest difference {worst:.2g}, tolerance {TOLERANCE:g}")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
