r"""VLMo's image expert fine-tuned to ImageNet-1k.

    python train.py --config=configs/vlmo/imagenet.py:base --config.data.path=imagenet \
        --config.init_from=runs/pairs --workdir=runs/imagenet

Attention and the image expert become a BEiT: `init_from` takes a VLMo of any stage, or a BEiT. The
paper does not publish its recipe; this is BEiT's, after training on ImageNet-22k.

Published at 224 pixels: base 85.5.
"""

from ml_collections import ConfigDict

from vlx.tasks.beit import NO_DECAY


def get_config(preset: str = "base") -> ConfigDict:
    large = preset == "large"
    c = ConfigDict({"task": "beit", "seed": 0, "epochs": 30.0, "init_from": ""})
    c.model = {"preset": f"{preset}_1k", "encoder": {"drop_path": 0.4 if large else 0.1}}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"classes": 1.0, "label_smoothing": 0.1}
    c.data = {"source": "parquet", "path": "", "flip": True, "crop_scale": (0.08, 1.0)}
    c.batch = {"size": 512}
    c.optimizer = {"name": "adamw", "lr": 2e-5, "b2": 0.999, "weight_decay": 1e-8}
    c.optimizer.no_decay = NO_DECAY
    c.optimizer.layer_decay = {"image": 0.9 if large else 0.85}
    c.optimizer.schedule = {"name": "cosine", "warmup": 5 / 30, "end": 1e-6}
    c.optimizer.schedule.first = "zero_to_peak"
    c.evaluate = {"every": 2500, "batch_size": 512, "names": ("classification",)}
    c.checkpoint = {"every": 1000, "best": "classification/top1"}
    return c
