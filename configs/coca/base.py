"""CoCa-Base, the paper's pre-training (arXiv 2205.01917, section 4 and appendix B).

    python train.py --config=configs/coca/base.py --config.data.path=pairs --workdir=runs/base

`pairs` is a folder of Parquet files (train-*.parquet, val-*.parquet) with images and captions.
The paper trains on JFT-3B labels and ALIGN alt-texts, half of every batch each, on 2048 TPUv4 in
about five days, then for one more epoch at 576 pixels (--config.model.image_size=576).

Published, zero-shot: ImageNet 82.6; Flickr30k R@1 image to text 89.8, text to image 76.8;
COCO R@1 63.8 and 47.5. Not reproduced here: the data are not public.
"""

from ml_collections import ConfigDict


def get_config(preset: str = "base") -> ConfigDict:
    c = ConfigDict({"task": "coca", "seed": 0, "steps": 500_000})
    c.model = {"preset": preset}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.data = {"source": "parquet", "path": "", "crop_scale": (0.9, 1.0)}
    c.tokenizer = {"name": "sentencepiece", "vocab_size": 64_000, "length": 64}
    c.batch = {"size": 65_536}
    c.optimizer = {"name": "adafactor", "lr": 8e-4, "b1": 0.9, "b2": 0.999, "weight_decay": 0.01}
    c.optimizer.clip = 1.0  # not stated for pre-training; as the paper's fine-tuning
    c.optimizer.schedule = {"name": "linear", "warmup": 0.02}
    c.loss = {"contrastive": 1.0, "captioning": 2.0, "directions": "sum"}  # equations 2 and 4
    c.evaluate = {"every": 10_000, "batch_size": 1024, "names": ("retrieval",)}
    c.checkpoint = {"every": 1000, "keep_every": 50_000}
    c.log = {"every": 50}
    return c
