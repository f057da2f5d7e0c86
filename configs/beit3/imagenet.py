r"""BEiT-3 fine-tuned to ImageNet-1k: a linear classifier on the mean of the patches.

    python train.py --config=configs/beit3/imagenet.py:base --config.data.path=imagenet \
        --config.init_from=beit3_base_patch16_224.pth --workdir=runs/imagenet

Only what images pass through is trained; texts and their experts stay as they are. The giant model
of the paper was trained on ImageNet-22k before, and to match pictures with names of classes; its
settings are the paper's, its classifier is that of the released models.

Published (top-1 / top-5): base 85.4 / 97.63, large 87.58 / 98.33, giant at 336 pixels 89.6 / -.
"""

from ml_collections import ConfigDict

from vlx.tasks.beit3 import NO_DECAY

COMMON = {"image_size": 224, "batch": 1024, "epochs": 50, "warmup": 5}
RECIPES = {
    "base": {"lr": 7e-4, "layer_decay": 0.65, "drop_path": 0.15},
    "large": {"lr": 2e-4, "layer_decay": 0.8, "drop_path": 0.25},
    "giant": {"lr": 5e-5, "layer_decay": 0.85, "drop_path": 0.4, "image_size": 336, "batch": 2048,
              "epochs": 15, "warmup": 3},
}  # fmt: skip


def get_config(preset: str = "base") -> ConfigDict:
    r = COMMON | RECIPES[preset]
    c = ConfigDict({"task": "beit3", "seed": 0, "epochs": float(r["epochs"]), "init_from": ""})
    c.model = {"preset": preset, "image_size": r["image_size"]}
    c.model.encoder = {"drop_path": r["drop_path"]}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"classes": 1.0, "label_smoothing": 0.1}
    c.loss.mixing = {"mixup": 0.8, "cutmix": 1.0, "erase": 0.25}
    c.data = {"source": "parquet", "path": "", "flip": True, "crop_scale": (0.08, 1.0)}
    c.data.update({"augment": "randaugment_increasing", "augment_level": 9})
    c.batch = {"size": r["batch"]}
    c.optimizer = {"name": "adamw", "lr": r["lr"], "weight_decay": 0.05, "no_decay": NO_DECAY}
    c.optimizer.layer_decay = {"all": r["layer_decay"]}
    c.optimizer.schedule = {"name": "cosine", "warmup": r["warmup"] / r["epochs"], "end": 1e-6}
    c.optimizer.schedule.first = "zero_to_peak"
    c.evaluate = {"every": 1250, "batch_size": 512}
    c.checkpoint = {"every": 1250, "best": "classification/top1"}
    return c
