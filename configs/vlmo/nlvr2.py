r"""VLMo fine-tuned to NLVR2: is a sentence true of two pictures? At 384 pixels.

    python train.py --config=configs/vlmo/nlvr2.py:base --config.data.path=nlvr2 \
        --config.data.image_folder=nlvr2/images --config.init_from=runs/pairs --workdir=runs/nlvr2
    python eval.py --workdir=runs/nlvr2 --split=test1

Published (dev / test-P): base 82.77 / 83.34, base_plus - / 85.1, large 85.64 / 86.86.
"""

from ml_collections import ConfigDict

from vlx.tasks.vlmo import NO_DECAY

RATES = {"base": 5e-5, "base_plus": 3e-5, "large": 3e-5}
DROP_PATHS = {"base": 0.1, "base_plus": 0.2, "large": 0.15}


def get_config(preset: str = "base") -> ConfigDict:
    c = ConfigDict({"task": "vlmo", "seed": 1, "epochs": 10.0, "init_from": ""})
    c.model = {"preset": preset, "image_size": 384, "encoder": {"drop_path": DROP_PATHS[preset]}}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"truth": 1.0}
    c.data = {"source": "nlvr2", "path": "", "image_folder": "", "resize_mode": "squash"}
    c.data.update({"train_split": "train", "eval_split": "dev"})
    c.data.update({"crop_scale": (0.5, 1.0), "flip": True})
    c.data.update({"augment": "randaugment_overflowing", "augment_level": 7})
    c.tokenizer = {"name": "wordpiece", "length": 40}
    c.batch = {"size": 128}
    c.optimizer = {"name": "adamw_transformers", "lr": RATES[preset], "b1": 0.9, "b2": 0.98}
    c.optimizer.update({"weight_decay": 0.01, "no_decay": NO_DECAY})
    c.optimizer.schedule = {"name": "linear", "warmup": 0.1, "first": "zero"}
    c.evaluate = {"every": 1000, "batch_size": 256}
    c.checkpoint = {"every": 500, "best": "statements/accuracy"}
    return c
