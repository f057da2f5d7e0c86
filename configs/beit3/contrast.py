r"""BEiT-3's intermediate tuning: contrast of images and texts, before retrieval (arXiv 2208.10442).

    python train.py --config=configs/beit3/contrast.py:base --config.data.path=pairs \
        --config.tokenizer.path=beit3.spm --config.init_from=runs/beit3 --workdir=runs/beit3_itc

5000 steps of 32,768 pairs of the pre-training data, as the paper tunes the giant model. The
released `beit3_base_itc_patch16_224.pth` and its large sister are models after this stage.
`batch.micro_batches` makes the batch fit: its gradient stays that of the whole one.
"""

from ml_collections import ConfigDict

from vlx.tasks.beit3 import NO_DECAY


def get_config(preset: str = "base") -> ConfigDict:
    c = ConfigDict({"task": "beit3", "seed": 0, "steps": 5000, "init_from": ""})
    c.model = {"preset": preset, "encoder": {"drop_path": 0.3}}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"contrastive": 1.0}
    c.data = {"source": "parquet", "path": "", "resize_mode": "squash"}
    c.data.update({"crop_scale": (0.5, 1.0), "flip": True})
    c.tokenizer = {"name": "xlm_roberta", "path": "", "length": 64}
    c.batch = {"size": 32_768}
    c.optimizer = {"name": "adamw", "lr": 3e-5, "b1": 0.9, "b2": 0.98, "weight_decay": 0.05}
    c.optimizer.update({"eps": 1e-6, "no_decay": NO_DECAY})
    c.optimizer.schedule = {"name": "cosine", "warmup": 500}
    c.evaluate = {"every": 1000, "batch_size": 512, "examples": 5000}
    c.checkpoint = {"every": 500}
    return c
