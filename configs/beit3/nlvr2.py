r"""BEiT-3 fine-tuned to NLVR2: is a sentence true of two pictures?

    python train.py --config=configs/beit3/nlvr2.py:base --config.data.path=nlvr2 \
        --config.data.image_folder=nlvr2/images --config.tokenizer.path=beit3.spm \
        --config.init_from=beit3_base_patch16_224.pth --workdir=runs/nlvr2
    python eval.py --workdir=runs/nlvr2 --split=test1

`base_indomain` and `large_indomain` are the settings for the models that have seen images of COCO
and Visual Genome. Pictures are mirrored, as in the release, although sentences name left and right.

Published (dev / test-P): base 83.6 / 84.4, indomain 84.6 / 85.3; large 88.5 / 89.4, indomain
89.2 / 90.0; giant 91.5 / 92.6.
"""

from ml_collections import ConfigDict

from vlx.tasks.beit3 import NO_DECAY

COMMON = {"drop_path": 0.2, "weight_decay": 0.2}
RECIPES = {
    "base": {"lr": 7e-4, "layer_decay": 0.65},
    "base_indomain": {"lr": 5e-4, "layer_decay": 0.65},
    "large": {"lr": 3e-4, "layer_decay": 0.85},
    "large_indomain": {"lr": 1e-4, "layer_decay": 0.85},
    "giant": {"lr": 1e-3, "layer_decay": 0.8, "drop_path": 0.4, "weight_decay": 0.05},
}


def get_config(name: str = "base") -> ConfigDict:
    r, preset = COMMON | RECIPES[name], name.removesuffix("_indomain")
    c = ConfigDict({"task": "beit3", "seed": 0, "epochs": 20.0, "init_from": ""})
    c.model = {"preset": preset, "image_size": 224, "encoder": {"drop_path": r["drop_path"]}}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"truth": 1.0}
    c.data = {"source": "nlvr2", "path": "", "image_folder": "", "resize_mode": "squash"}
    c.data.update({"train_split": "train", "eval_split": "dev"})
    c.data.update({"crop_scale": (0.5, 1.0), "flip": True})
    c.tokenizer = {"name": "xlm_roberta", "path": "", "length": 64}
    c.batch = {"size": 256}
    c.optimizer = {"name": "adamw", "lr": r["lr"], "weight_decay": r["weight_decay"]}
    c.optimizer.update({"no_decay": NO_DECAY, "layer_decay": {"all": r["layer_decay"]}})
    c.optimizer.schedule = {"name": "cosine", "warmup": 5 / 20, "end": 1e-6}
    c.optimizer.schedule.first = "zero_to_peak"
    c.evaluate = {"every": 1000, "batch_size": 256}
    c.checkpoint = {"every": 500, "best": "statements/accuracy"}
    return c
