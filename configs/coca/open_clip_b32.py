r"""open_clip's coca_ViT-B-32, with the values of its command line.

    python train.py --config=configs/coca/open_clip_b32.py --config.data.path=pairs \
        --workdir=runs/b32

`pairs` is a folder of Parquet files (train-*.parquet, val-*.parquet) with images and captions.
CLIP's vocabulary comes with `pip install --no-deps open_clip_torch`.

Published for the weights `laion2b_s13b_b90k` (13B samples of LAION-2B, batch about 90k):
zero-shot ImageNet 63.3; Flickr30k R@1 image to text 81.6, text to image 63.4; COCO R@1 54.6
and 36.2. Not reproduced here.
"""

from ml_collections import ConfigDict

from vlx.tasks.coca import NO_DECAY


def get_config() -> ConfigDict:
    c = ConfigDict({"task": "coca", "seed": 0, "steps": 144_000})  # 13B samples
    c.model = {"preset": "coca_ViT-B-32"}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.data = {"source": "parquet", "path": "", "crop_scale": (0.9, 1.0)}
    c.tokenizer = {"name": "clip_bpe", "length": 76}
    c.batch = {"size": 90_112}
    c.optimizer = {"name": "adamw", "lr": 5e-4, "b1": 0.9, "b2": 0.98, "eps": 1e-6}
    c.optimizer.weight_decay = 0.2
    c.optimizer.no_decay = NO_DECAY["release"]
    c.optimizer.schedule = {"name": "cosine", "warmup": 10_000}
    c.optimizer.limits = (("logit_scale", 0.0, 4.605170),)  # exp(logit_scale) <= 100
    c.loss = {"contrastive": 1.0, "captioning": 2.0, "directions": "mean"}
    c.evaluate = {"every": 10_000, "batch_size": 1024, "names": ("retrieval",)}
    c.checkpoint = {"every": 1000}
    c.log = {"every": 50}
    return c
