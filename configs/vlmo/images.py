r"""VLMo's first stage: BEiT's masked image modelling (arXiv 2106.08254).

    python train.py --config=configs/vlmo/images.py:base --config.data.path=imagenet22k \
        --config.loss.tokenizer=encoder.pkl --workdir=runs/images

`base`, `large` and `base_plus` are pre-trained on ImageNet-22k for 150 epochs; `base_1k` and
`large_1k` on ImageNet-1k for 800. The tokenizer is the encoder of DALL-E's autoencoder, or one that
configs/vlmo/shapes.py:codes trains. The published VLMo weights began with BEiT's own:
`init_from` takes those files too, so that this stage can be skipped.

Published, fine-tuned to ImageNet-1k at 224 pixels: base 83.7 after ImageNet-1k alone.
"""

from ml_collections import ConfigDict

from vlx.tasks.beit import NO_DECAY


def get_config(preset: str = "base") -> ConfigDict:
    small = preset.endswith("_1k")
    preset = preset.removesuffix("_1k")
    c = ConfigDict({"task": "beit", "seed": 0, "epochs": 800.0 if small else 150.0})
    c.model = {"preset": preset, "encoder": {"drop_path": 0.1}}
    if small:
        c.model.pixels = "imagenet"
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"codes": 1.0, "tokenizer": ""}
    c.data = {"source": "parquet", "path": "", "flip": True, "crop_scale": (0.08, 1.0)}
    c.data.update({"jitter": 0.4, "target_size": 112, "resize_mode": "squash"})
    c.data.patch_mask = {"patches": 75, "smallest": 16}
    c.batch = {"size": 2048}
    c.optimizer = {"name": "adamw", "lr": 1.5e-3, "b1": 0.9, "b2": 0.999, "weight_decay": 0.05}
    c.optimizer.clip = 3.0
    c.optimizer.no_decay = NO_DECAY
    c.optimizer.schedule = {"name": "cosine", "end": 1e-5, "first": "zero_to_peak"}
    c.optimizer.schedule.warmup = 10 / 800 if small else 10_000.0
    c.evaluate = {"every": 10_000, "batch_size": 1024, "examples": 50_000}
    c.checkpoint = {"every": 1000, "keep_every": 50_000}
    return c
