r"""Between BEiT v2's pre-training and ImageNet-1k: the 21841 classes of ImageNet-21k.

    python train.py --config=configs/beit2/classes_21k.py:base --config.data.path=imagenet21k \
        --config.init_from=beitv2_base_patch16_224_pt1k.pth --workdir=runs/classes_21k

Values of the release. Published after configs/beit2/imagenet.py:base_21k and :large_21k (top-1 /
top-5 at 224 pixels): base 86.5 / 98.0, large 88.4 / 98.6.
"""

from ml_collections import ConfigDict

from vlx.tasks.beit import NO_DECAY

DROP_PATH = {"base": 0.1, "large": 0.2}


def get_config(preset: str = "base") -> ConfigDict:
    c = ConfigDict({"task": "beit", "seed": 0, "epochs": 90.0, "init_from": ""})
    c.model = {"preset": f"{preset}_v2_21k", "encoder": {"drop_path": DROP_PATH[preset]}}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"classes": 1.0, "label_smoothing": 0.1}
    c.loss.mixing = {"mixup": 0.8, "cutmix": 1.0, "erase": 0.25}
    c.data = {"source": "parquet", "path": "", "flip": True, "crop_scale": (0.08, 1.0)}
    c.data.update({"augment": "randaugment_increasing", "augment_level": 9})
    c.data.eval_part = 224 / 256
    c.batch = {"size": 4096}
    c.optimizer = {"name": "adamw", "lr": 6e-4, "weight_decay": 0.05, "no_decay": NO_DECAY}
    c.optimizer.layer_decay = {"image": 0.75}
    c.optimizer.schedule = {"name": "cosine", "warmup": 20 / 90, "end": 1e-6}
    c.optimizer.schedule.first = "zero_to_peak"
    c.evaluate = {"every": 10_000, "batch_size": 1024, "names": ("classification",)}
    c.checkpoint = {"every": 1000}
    return c
