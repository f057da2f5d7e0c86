"""CoCa on the built-in shapes world.

python train.py --config=configs/coca/shapes.py --workdir=runs/coca
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    c = ConfigDict({"task": "coca", "seed": 0, "steps": 600})
    c.model = {"preset": "tiny", "compute": {"scan": False}}
    c.data = {"source": "shapes", "objects": (1, 3), "templates": ("a {}",), "threads": 0}
    c.tokenizer = {"vocab_size": 512, "length": 40}
    c.batch = {"size": 64}
    c.optimizer = {"name": "adamw", "lr": 1e-3, "b2": 0.98, "weight_decay": 0.1, "clip": 1.0}
    c.optimizer.schedule = {"name": "cosine", "warmup": 50}
    c.optimizer.limits = (("logit_scale", 0.0, 4.6052),)  # at most 100 after exp
    c.loss = {"contrastive": 1.0, "captioning": 2.0}  # the paper's weights
    c.evaluate = {"every": 0, "batch_size": 128, "examples": 512}
    c.checkpoint = {"every": 200}
    return c
