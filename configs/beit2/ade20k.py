r"""BEiT v2 fine-tuned to the 150 classes of ADE20K at 512 pixels, under UPerNet.

    python train.py --config=configs/beit2/ade20k.py:base --config.data.path=ADEChallengeData2016 \
        --config.init_from=beitv2_base_patch16_224_pt1k_ft1k.pth --workdir=runs/ade20k

`init_from` takes a BEiT v2 with codes or with classes; tables of relative positions are stretched
from 224 pixels. The recipe's name says whether it has seen the classes of ImageNet-21k. A folder of
COCO's panoptic maps, `--config.data.source=coco_panoptic`, has 133 classes,
`--config.model.classes=133`.

Batch norm has the statistics of all 16 images, as on the official eight GPUs. The rate of the first
1500 steps grows to that of a schedule which starts after them, not at the first step; both end at
zero. Pictures are resized by Pillow, which smooths what becomes smaller; OpenCV did not.

Published (mean IoU, single scale): base 53.1, base_21k 53.5, large 56.7, large_21k 57.5 (57.54,
mean accuracy 68.78, pixel accuracy 86.22).
"""

from ml_collections import ConfigDict

from vlx.tasks.segmentation import NO_DECAY

BASE = {"lr": 5e-5, "layer_decay": 0.75, "drop_path": 0.15, "layer_scale": 0.1}
LARGE = {"lr": 4e-5, "layer_decay": 0.9, "drop_path": 0.2, "layer_scale": 1e-6}
RECIPES = {
    "base": BASE,
    "base_21k": BASE | {"layer_decay": 0.85},
    "large": LARGE,
    "large_21k": LARGE | {"lr": 3e-5},
}


def get_config(recipe: str = "base") -> ConfigDict:
    r, size = RECIPES[recipe], recipe.split("_")[0]
    c = ConfigDict({"task": "segmentation", "seed": 0, "steps": 160_000, "init_from": ""})
    encoder = {"drop_path": r["drop_path"], "layer_scale": r["layer_scale"]}
    c.model = {"preset": f"{size}_v2", "classes": 150, "backbone": {"encoder": encoder}}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"pixels": 1.0, "auxiliary": 0.4, "statistics_group": 16}
    c.data = {"source": "ade20k", "path": "", "flip": True, "interpolation": "bilinear"}
    c.data.update({"train_split": "training", "eval_split": "validation"})
    c.data.label_map = {"scale": (0.5, 2.0), "most": 0.75, "distort": True}
    c.batch = {"size": 16}
    c.optimizer = {"name": "adamw", "lr": r["lr"], "weight_decay": 0.05, "no_decay": NO_DECAY}
    c.optimizer.layer_decay = {"image": r["layer_decay"]}
    c.optimizer.schedule = {"name": "linear", "warmup": 1500, "first": "zero_to_peak"}
    c.evaluate = {"every": 16_000, "batch_size": 16, "names": ("segmentation",)}
    c.checkpoint = {"every": 4000, "best": "segmentation/mean_iou"}
    return c
