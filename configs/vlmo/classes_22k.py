r"""Between VLMo's first two stages: BEiT fine-tuned to the classes of ImageNet-22k.

    python train.py --config=configs/vlmo/classes_22k.py:base_22k --config.data.path=imagenet22k \
        --config.init_from=runs/images --workdir=runs/classes_22k

The official second stage begins with such a model (`beit_base_patch16_224_pt22k_ft22kto1k`), which
has seen labels; a VLMo without any labels goes from configs/vlmo/images.py straight to
configs/vlmo/language.py. Values of BEiT's release; published, then fine-tuned to ImageNet-1k at 224
pixels: base 85.2, large 87.4.
"""

from ml_collections import ConfigDict

from vlx.tasks.beit import NO_DECAY


def get_config(preset: str = "base_22k") -> ConfigDict:
    large = preset.startswith("large")
    c = ConfigDict({"task": "beit", "seed": 0, "epochs": 90.0, "init_from": ""})
    c.model = {"preset": preset, "encoder": {"drop_path": 0.2}}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"classes": 1.0, "label_smoothing": 0.1}
    c.data = {"source": "parquet", "path": "", "flip": True, "crop_scale": (0.08, 1.0)}
    c.data.resize_mode = "squash"
    c.batch = {"size": 2048 if large else 4096}
    c.optimizer = {"name": "adamw", "lr": 2e-3 if large else 3e-3, "b2": 0.999}
    c.optimizer.update({"weight_decay": 0.05, "clip": 1.0 if large else 3.0})
    c.optimizer.no_decay = NO_DECAY
    c.optimizer.layer_decay = {"image": 0.75 if large else 0.65}
    c.optimizer.schedule = {"name": "cosine", "warmup": 5 / 90, "end": 1e-6}
    c.optimizer.schedule.first = "zero_to_peak"
    c.evaluate = {"every": 10_000, "batch_size": 1024, "names": ("classification",)}
    c.checkpoint = {"every": 1000}
    return c
