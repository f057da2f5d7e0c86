r"""CoCa on labelled pictures: captions are made from class names.

    python train.py --config=configs/coca/cifar10.py --config.data.path=cifar10 \
        --workdir=runs/cifar10

The folder holds train.parquet and val.parquet with columns `image` (encoded) and `label`, and
classnames.txt.
"""

from ml_collections import ConfigDict

TEMPLATES = (
    "a photo of a {}.",
    "a blurry photo of a {}.",
    "a low resolution photo of a {}.",
    "a picture of the {}.",
    "there is a {} here.",
)


def get_config() -> ConfigDict:
    c = ConfigDict({"task": "coca", "seed": 0, "steps": 600})
    c.model = {"preset": "tiny", "image_size": 32, "text_length": 16}
    c.model.vision = {"patch": 4}
    c.model.compute = {"scan": False}
    c.data = {"source": "parquet", "path": "", "captions_from": "class_templates"}
    c.data.update({"templates": TEMPLATES, "crop_scale": (0.5, 1.0), "flip": True, "threads": 0})
    c.tokenizer = {"vocab_size": 128, "length": 16}
    c.batch = {"size": 64}
    c.optimizer = {"name": "adamw", "lr": 1e-3, "b2": 0.98, "weight_decay": 0.1, "clip": 1.0}
    c.optimizer.schedule = {"name": "cosine", "warmup": 50}
    c.optimizer.limits = (("logit_scale", 0.0, 4.6052),)
    c.loss = {"contrastive": 1.0, "captioning": 2.0}
    c.evaluate = {"every": 200, "batch_size": 100, "names": ("zero_shot",)}
    c.checkpoint = {"every": 200}
    return c
