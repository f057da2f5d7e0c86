r"""CoCa on your own images and captions; one path suffices.

    python train.py --config=configs/coca/captions.py --config.data.path=photos/captions.jsonl \
        --workdir=runs/photos

The file has one line an image: {"image": "a.jpg", "captions": ["...", "..."], "split": "train"};
image paths start at the file's folder, or at `images/` in it. Tables, Parquet, WebDataset and TFDS
work as well: see docs/data.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    c = ConfigDict({"task": "coca", "seed": 0, "steps": 1000})
    c.model = {"preset": "tiny", "image_size": 96, "vocabulary": 2048, "text_length": 32}
    c.model.vision = {"patch": 12}
    c.data = {"source": "jsonl", "path": "", "crop_scale": (0.5, 1.0)}
    c.tokenizer = {"vocab_size": 2048, "length": 32, "lowercase": True}
    c.batch = {"size": 64}
    c.optimizer = {"name": "adamw", "lr": 2e-3, "b2": 0.98, "weight_decay": 0.1, "clip": 1.0}
    c.optimizer.schedule = {"name": "cosine", "warmup": 0.05}
    c.optimizer.limits = (("logit_scale", 0.0, 4.605170),)
    c.loss = {"contrastive": 1.0, "captioning": 2.0}
    c.evaluate = {"every": 250, "batch_size": 64, "names": ("retrieval",)}
    c.checkpoint = {"every": 250}
    return c
