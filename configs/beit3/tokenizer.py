r"""VQ-KD: the visual tokenizer of BEiT v2 and BEiT-3 (arXiv 2208.06366), learned from a teacher.

    python train.py --config=configs/beit3/tokenizer.py:base --config.data.path=imagenet \
        --config.loss.teacher=clip_vit_b_16 --workdir=runs/tokenizer

`base` has a decoder of three layers, `base_shallow` of one; both learn from OpenAI's CLIP ViT-B/16
(`python -m vlx import --model=ViT-B-16-quickgelu`). `base_shallow_dino` learns from DINO's
ViT-B/16, whose file is read as it is. Published use of codes on ImageNet's validation images:
100 % with one layer and either teacher, 97 % with three.

configs/beit3/shapes.py:tokenizer is a small one for the built-in world.

What it learns is `loss.tokenizer` of pretrain.py here and of configs/beit2/pretrain.py.
"""

from ml_collections import ConfigDict

from vlx.tasks.vqkd import NO_DECAY


def get_config(preset: str = "base") -> ConfigDict:
    c = ConfigDict({"task": "vqkd", "seed": 0, "init_from": ""})
    c.optimizer = {"name": "adamw", "b1": 0.9, "b2": 0.99, "no_decay": NO_DECAY}
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
