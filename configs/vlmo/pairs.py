r"""VLMo's third stage: contrast, matching with global hard negatives, and masked words of pairs.

    python train.py --config=configs/vlmo/pairs.py:base --config.data.path=pairs \
        --config.init_from=runs/language --workdir=runs/pairs

The paper's pairs are COCO (Karpathy's train and restval), Visual Genome, SBU and Conceptual
Captions 3M: 4 million images with 10 million captions. Here they are one folder of Parquet files;
`data.mixture` joins folders and formats (docs/data.md). Values of the release; its longer runs take
500,000 steps. `init_from` is a second stage, such as vlmo_base_patch16_224_stage2.pt.

Published after fine-tuning: see configs/vlmo/vqa.py, nlvr2.py, retrieval.py.
"""

from ml_collections import ConfigDict

from vlx.tasks.vlmo import NO_DECAY

RATES = {"base": 2e-4, "base_plus": 1e-4, "large": 5e-5}


def get_config(preset: str = "base") -> ConfigDict:
    c = ConfigDict({"task": "vlmo", "seed": 1, "steps": 200_000, "init_from": ""})
    c.model = {"preset": preset, "encoder": {"drop_path": 0.1}}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"contrastive": 1.0, "matching": 1.0, "words": 0.25}
    c.data = {"source": "parquet", "path": "", "resize_mode": "squash"}
    c.data.update({"crop_scale": (0.5, 1.0), "flip": True})
    c.data.update({"augment": "randaugment_overflowing", "augment_level": 7})
    c.data.text_mask = {"unit": "word", "share": 0.15}
    c.tokenizer = {"name": "wordpiece", "length": 40}
    c.batch = {"size": 1024}
    c.optimizer = {"name": "adamw_transformers", "lr": RATES[preset], "b1": 0.9, "b2": 0.98}
    c.optimizer.update({"weight_decay": 0.01, "no_decay": NO_DECAY})
    c.optimizer.schedule = {"name": "linear", "warmup": 2500, "first": "zero"}
    c.evaluate = {"every": 10_000, "batch_size": 1024, "names": ("retrieval",)}
    c.checkpoint = {"every": 1000, "keep_every": 50_000}
    return c
