r"""BEiT v2 fine-tuned to ImageNet-1k at 224 pixels.

    python train.py --config=configs/beit2/imagenet.py:base_1600 --config.data.path=imagenet \
        --config.init_from=beitv2_base_patch16_224_pt1k.pth --workdir=runs/imagenet

The recipe's name says what came before: 300 or 1600 epochs of pre-training, or after those the
classes of configs/beit2/classes_21k.py (`base_21k`, `large_21k`). Other sizes of images
(`--config.model.image_size=384`) resize the tables of relative positions; from 384 pixels on the
release evaluates all of the shorter side, `--config.data.eval_part=1.0`.

Published (top-1 / top-5): base_300 85.0, base_1600 85.5 / 97.5, base_21k 86.5 / 98.0, large_300
86.6, large_1600 87.3 / 98.2, large_21k 88.4 / 98.6.
"""

from ml_collections import ConfigDict

from vlx.tasks.beit import NO_DECAY

BASE = {"lr": 5e-4, "epochs": 100, "warmup": 20, "layer_decay": 0.65, "drop_path": 0.1}
LARGE = {"lr": 5e-4, "epochs": 50, "warmup": 5, "layer_decay": 0.8, "drop_path": 0.2}
RECIPES = {
    "base_300": BASE,
    "base_1600": BASE | {"layer_decay": 0.6, "drop_path": 0.2},
    "base_21k": BASE | {"lr": 5e-5, "epochs": 30, "layer_decay": 0.75},
    "large_300": LARGE,
    "large_1600": LARGE | {"lr": 2e-4},
    "large_21k": LARGE | {"lr": 7e-5, "epochs": 20, "drop_path": 0.25},
}


def get_config(recipe: str = "base_300") -> ConfigDict:
    r, (preset, before) = RECIPES[recipe], recipe.split("_")
    c = ConfigDict({"task": "beit", "seed": 0, "epochs": float(r["epochs"]), "init_from": ""})
    c.model = {"preset": f"{preset}_v2_1k", "encoder": {"drop_path": r["drop_path"]}}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"classes": 1.0, "label_smoothing": 0.1, "mixing": {"erase": 0.25}}
    if before != "21k":
        c.loss.mixing.update({"mixup": 0.8, "cutmix": 1.0})
    c.data = {"source": "parquet", "path": "", "flip": True, "crop_scale": (0.08, 1.0)}
    c.data.update({"augment": "randaugment_increasing", "augment_level": 9})
    c.data.eval_part = 224 / 256
    c.batch = {"size": 1024}
    c.optimizer = {"name": "adamw", "lr": r["lr"], "weight_decay": 0.05, "no_decay": NO_DECAY}
    c.optimizer.layer_decay = {"image": r["layer_decay"]}
    c.optimizer.schedule = {"name": "cosine", "warmup": r["warmup"] / r["epochs"], "end": 1e-6}
    c.optimizer.schedule.first = "zero_to_peak"
    c.evaluate = {"every": 1250, "batch_size": 512, "names": ("classification",)}
    c.checkpoint = {"every": 1250, "best": "classification/top1"}
    return c
