r"""BEiT-3 fine-tuned to retrieval between pictures and captions.

    python train.py --config=configs/beit3/retrieval.py:coco_base --config.data.path=coco \
        --config.tokenizer.path=beit3.spm --config.init_from=beit3_base_itc_patch16_224.pth \
        --workdir=runs/coco
    python train.py --config=configs/beit3/retrieval.py:flickr30k_base \
        --config.data.path=flickr30k --config.tokenizer.path=beit3.spm \
        --config.init_from=beit3_base_itc_patch16_224.pth --workdir=runs/flickr30k

The folders hold Karpathy's dataset_coco.json or dataset_flickr30k.json and the pictures. Base and
large begin with the models of the contrastive intermediate tuning, at 384 pixels. The giant model
is the paper's. Results on the test splits: `eval.py --split=test`.

Published, R@1 image to text / text to image: COCO base 79.1 / 61.4, large 82.1 / 63.4, giant
84.8 / 67.2; Flickr30k base 96.3 / 86.2, large 97.2 / 88.1, giant 98.0 / 90.3.
"""

from ml_collections import ConfigDict

from vlx.tasks.beit3 import NO_DECAY

CAPTIONS = 5  # of a picture; an epoch of the release shows every one of them
EPOCHS = {"coco": 15, "flickr30k": 20}
WARMUP = {"coco": 3, "flickr30k": 5}
COMMON = {"image_size": 384, "drop_path": 0.2}
RECIPES = {
    "coco_base": {"lr": 2e-4, "layer_decay": 0.65},
    "flickr30k_base": {"lr": 1e-4, "layer_decay": 0.65},
    "coco_large": {"lr": 5e-5, "layer_decay": 0.85},
    "flickr30k_large": {"lr": 5e-5, "layer_decay": 0.85},
    "coco_giant": {"lr": 1e-5, "layer_decay": 0.95, "image_size": 420, "drop_path": 0.3},
    "flickr30k_giant": {"lr": 1e-5, "layer_decay": 0.95, "image_size": 420, "drop_path": 0.3},
}


def get_config(name: str = "coco_base") -> ConfigDict:
    r, (data, preset) = COMMON | RECIPES[name], name.split("_")
    c = ConfigDict({"task": "beit3", "seed": 0, "init_from": ""})
    c.epochs = float(CAPTIONS * EPOCHS[data])
    c.model = {"preset": preset, "image_size": r["image_size"]}
    c.model.encoder = {"drop_path": r["drop_path"]}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"contrastive": 1.0}
    c.data = {"source": "karpathy", "path": "", "resize_mode": "squash"}
    c.data.train_split = "train+restval" if data == "coco" else "train"
    c.data.update({"crop_scale": (0.5, 1.0), "flip": True})
    c.tokenizer = {"name": "xlm_roberta", "path": "", "length": 64}
    c.batch = {"size": 3072}
    c.optimizer = {"name": "adamw", "lr": r["lr"], "weight_decay": 0.05, "no_decay": NO_DECAY}
    c.optimizer.layer_decay = {"all": r["layer_decay"]}
    c.optimizer.schedule = {"name": "cosine", "warmup": WARMUP[data] / EPOCHS[data], "end": 1e-6}
    c.optimizer.schedule.first = "zero_to_peak"
    c.evaluate = {"every": 500, "batch_size": 512}
    c.checkpoint = {"every": 250, "keep": 4}
    return c
