r"""BEiT-3 fine-tuned to write captions, of COCO or for NoCaps, at 480 pixels.

    python train.py --config=configs/beit3/captioning.py:coco_base --config.data.path=coco \
        --config.tokenizer.path=beit3.spm --config.init_from=beit3_base_patch16_224.pth \
        --workdir=runs/captions
    python eval.py --workdir=runs/captions --split=test
    python eval.py --workdir=runs/captions --split=val --config.data.source=nocaps \
        --config.data.path=nocaps

`coco` holds Karpathy's dataset_coco.json and the pictures. Both models learn from COCO; they differ
in their rate. Masked words are predicted from the image and the words before them; after step 12000
a fifth of them, those of the largest loss, is left out. Pictures are mirrored, as in the release,
although captions name left and right. The release's own arithmetic of contrast and sharpness is
data.augment=randaugment_overflowing.

Published (CIDEr on COCO test / NoCaps val): base 133.6 / 104.4, from the model with images of COCO
and Visual Genome 135.0 / 105.6; large 143.2 / 120.2; giant 147.6 / -.
"""

from ml_collections import ConfigDict

from vlx.tasks.beit3 import NO_DECAY

CAPTIONS = 5  # of a picture; the release's ten epochs show every one of them ten times
COMMON = {"image_size": 480, "epochs": 10, "warmup": 1, "drop_path": 0.1, "weight_decay": 0.05,
          "share": 0.7}  # fmt: skip
RECIPES = {
    "coco_base": {"lr": 4e-5},
    "nocaps_base": {"lr": 1e-5},
    "coco_large": {"lr": 8e-6},
    "nocaps_large": {"lr": 8e-6},
    "coco_giant": {"lr": 8e-6, "image_size": 392, "epochs": 16, "warmup": 3, "drop_path": 0.3,
                   "weight_decay": 0.01, "share": 0.6},
}  # fmt: skip


def get_config(name: str = "coco_base") -> ConfigDict:
    r, preset = COMMON | RECIPES[name], name.split("_")[1]
    c = ConfigDict({"task": "beit3", "seed": 0, "init_from": ""})
    c.epochs = float(CAPTIONS * r["epochs"])
    c.model = {"preset": preset, "image_size": r["image_size"]}
    c.model.encoder = {"drop_path": r["drop_path"]}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"captions": 1.0, "label_smoothing": 0.1, "drop_worst": 0.2, "drop_after": 12_000}
    c.data = {"source": "karpathy", "path": "", "resize_mode": "squash"}
    c.data.train_split = "train+restval"
    c.data.update({"crop_scale": (0.5, 1.0), "flip": True})
    c.data.update({"augment": "randaugment", "augment_count": 2, "augment_level": 7})
    c.data.text_mask = {"unit": "caption", "share": r["share"], "hidden": 0.8, "random": 0.1}
    c.tokenizer = {"name": "xlm_roberta", "path": "", "length": 32}
    c.batch = {"size": 256}
    c.optimizer = {"name": "adamw", "lr": r["lr"], "weight_decay": r["weight_decay"]}
    c.optimizer.no_decay = NO_DECAY
    c.optimizer.schedule = {"name": "cosine", "warmup": r["warmup"] / r["epochs"], "end": 1e-6}
    c.optimizer.schedule.first = "zero_to_peak"
    c.evaluate = {"every": 5000, "batch_size": 256, "names": ("captioning",)}
    c.evaluate.decode = {"method": "beam", "beams": 3, "length_penalty": 0.6, "max_length": 32}
    c.evaluate.decode.score = "one_finished"  # the release's search
    c.checkpoint = {"every": 1000, "best": "captioning/cider_d"}
    return c
