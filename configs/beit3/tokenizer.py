r"""VQ-KD: the visual tokenizer of BEiT v2 and BEiT-3 (arXiv 2208.06366), learned from a teacher.

    python train.py --config=configs/beit3/tokenizer.py:base --config.data.path=imagenet \
        --config.loss.teacher=clip_vit_b_16 --workdir=runs/tokenizer

`base` has a decoder of three layers, `base_shallow` of one; both learn from OpenAI's CLIP ViT-B/16
(`python -m vlx import --model=ViT-B-16-quickgelu`). `base_shallow_dino` learns from DINO's
ViT-B/16, whose file is read as it is. Published use of codes on ImageNet's validation images:
100 % with one layer and either teacher, 97 % with three.

`shapes` is a small one for the built-in world, in a minute on a CPU; its teacher is any BEiT of
48 x 48 pixels in patches of 12, such as configs/vlmo/shapes.py:images trains:

    python train.py --config=configs/beit3/tokenizer.py:shapes \
        --config.loss.teacher=runs/vlmo/images --workdir=runs/tokenizer

What it learns is `loss.tokenizer` of configs/beit2/pretrain.py.
"""

from ml_collections import ConfigDict

from vlx.tasks.vqkd import NO_DECAY


def get_config(preset: str = "base") -> ConfigDict:
    c = ConfigDict({"task": "vqkd", "seed": 0, "init_from": ""})
    c.optimizer = {"name": "adamw", "b1": 0.9, "b2": 0.99, "no_decay": NO_DECAY}
    if preset == "shapes":
        _shapes(c)
        return c
    c.epochs = 100.0
    c.model = {"preset": preset, "compute": {"dtype": "bfloat16", "scan": True, "remat": "names"}}
    c.loss = {"teacher": ""}
    c.data = {"source": "parquet", "path": "", "flip": True, "crop_scale": (0.08, 1.0)}
    c.batch = {"size": 512}
    c.optimizer.update({"lr": 2e-4, "weight_decay": 1e-4})
    c.optimizer.schedule = {"name": "cosine", "warmup": 10 / 100, "end": 1e-5}
    c.optimizer.schedule.first = "zero_to_peak"
    c.evaluate = {"every": 25_000, "batch_size": 512, "examples": 50_000}
    c.checkpoint = {"every": 1000, "keep_every": 50_000}
    return c


def _shapes(c: ConfigDict) -> None:
    c.steps = 200
    c.model = {"preset": "tiny", "image_size": 48, "patch": 12, "compute": {"scan": False}}
    # A run of a few hundred steps: codes move faster, and none stays unused.
    c.loss = {"teacher": "", "decay": 0.95, "restart": 0.1}
    c.data = {"source": "shapes", "objects": (1, 1), "flip": True, "crop_scale": (0.4, 1.0)}
    c.data.threads = 0
    c.batch = {"size": 64}
    c.optimizer.update({"lr": 2e-3, "weight_decay": 1e-4, "clip": 1.0})
    c.optimizer.schedule = {"name": "cosine", "warmup": 0.05}
    c.evaluate = {"every": 100, "batch_size": 128, "examples": 256}
    c.checkpoint = {"every": 200, "keep": 1}
