"""A run that predicts codes of pictures of 16 pixels, four patches each, and its tokenizer."""

from pathlib import Path

import jax
import numpy as np

from vlx.config import build
from vlx.interop import native
from vlx.interop.pretrained import Pixels, Pretrained
from vlx.models import parameter_shapes
from vlx.models.dvae import Dvae, DvaeConfig
from vlx.tasks import Constant
from vlx.train.config import RunConfig
from vlx.train.setup import Setup, resolved

import small_models as small
from tiny_run import settings

CODES = 7
MODEL = Dvae(DvaeConfig((16, 16), width=8, blocks=1, codes=CODES))
ENCODER = {"width": 16, "layers": 1, "heads": 2, "hidden": 24}
ONE = {  # kind of picture
    "task": "beit",
    "model": {
        "preset": "tiny", "image_size": 16, "patch": 8, "codes": CODES, "encoder": ENCODER,
    },
    "loss": {"codes": 1.0, "tokenizer": "given"},
}  # fmt: skip
GROUPS = {
    "task": "beit3_pretraining",
    "model": {
        "preset": "tiny", "image_size": 16, "patch": 8, "codes": CODES, "vocabulary": 64,
        "text_length": 12, "encoder": ENCODER, "compute": {"scan": False},
    },
    "loss": {"tokenizer": "given", "text_words": 0.0},
    "groups": {"image": {"size": 8}, "pair": {"size": 8}},
}  # fmt: skip
DATA = {
    "target_size": 16, "crop_scale": (0.2, 1.0), "flip": True, "jitter": 0.4,
    "augment": "randaugment", "patch_mask": {"patches": 2, "smallest": 1},
}  # fmt: skip


def tokenizer(digest: str = "a digest") -> Constant:
    params = small.parameters(MODEL, np.zeros((1, 16, 16, 3), np.float32))
    return Constant(params, MODEL, "dall_e", digest)


def write_tokenizer(folder: Path) -> Path:
    """A folder with a trained tokenizer."""
    params = small.draw(parameter_shapes(MODEL), 1)
    params = {path: np.asarray(x) for path, x in params.items()}
    native.save(folder, Pretrained(MODEL, params, Pixels((16, 16), "dall_e")))
    return folder


def values(pictures: Path, kind: dict = ONE, **data) -> dict:
    """A recipe's values."""
    given = settings(pictures, data=DATA | data, optimizer={"ema": 0.0}, steps=4)
    return given | kind


def ready(
    pictures: Path, kind: dict = ONE, workdir: Path = Path("."), devices: int = 1, **data
) -> Setup:
    """The run, with the tokenizer at hand."""
    c = resolved(build(RunConfig, values(pictures, kind, **data)))
    constants = {"tokenizer": tokenizer()}
    return Setup(c, workdir, constants=constants, devices=jax.devices()[:devices])
