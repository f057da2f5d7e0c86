"""CoCa on the built-in shapes world: a model of the paper's form that learns within minutes.

    python train.py --config=configs/coca/shapes.py --workdir=runs/coca

Result, on 256 unseen scenes of one or two objects: R@1 62.5 % image to text, 61.7 % text to image
(chance 0.4 %); zero-shot colour and shape of single objects 20.7 %, among the first five 73.8 %
(chance 1.6 %). Five minutes on two CPU cores.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    c = ConfigDict({"task": "coca", "seed": 0, "steps": 1000})
    c.model = {"preset": "tiny", "image_size": 48, "vocabulary": 512, "text_length": 28}
    c.model.compute = {"scan": False}  # on CPUs unrolled layers run faster
    c.data = {"source": "shapes", "objects": (1, 2), "caption": "first", "threads": 0}
    c.data.templates = ("a {}", "an image with a {}", "exactly one {}")
    c.tokenizer = {"vocab_size": 512, "length": 28}
    c.batch = {"size": 64}
    c.optimizer = {"name": "adamw", "lr": 2e-3, "b2": 0.98, "weight_decay": 0.1, "clip": 1.0}
    c.optimizer.schedule = {"name": "cosine", "warmup": 50}
    c.optimizer.limits = (("logit_scale", 0.0, 4.605170),)  # exp(logit_scale) <= 100
    c.loss = {"contrastive": 1.0, "captioning": 2.0}  # the paper's weights
    c.evaluate = {"every": 250, "batch_size": 128, "examples": 256}
    c.evaluate.names = ("zero_shot", "retrieval", "captioning", "likelihood")
    c.evaluate.captions = 1  # the first; the others do not tell scenes apart
    c.checkpoint = {"every": 250}
    return c
