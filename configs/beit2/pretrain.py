r"""BEiT v2's pre-training on ImageNet-1k: codes of hidden patches, told twice (arXiv 2208.06366).

    python train.py --config=configs/beit2/pretrain.py:base_300 --config.data.path=imagenet \
        --config.loss.tokenizer=vqkd_encoder_base_decoder_3x768x12_clip.pth --workdir=runs/beit2

`base_300` and `large_300` train for 300 epochs, `base_1600` and `large_1600` for 1600. The codes
are those of the released VQ-KD tokenizer or of one that you train; it sees the same crop, mirrored
or not and in the same colours.

Published after fine-tuning to ImageNet-1k at 224 pixels (top-1): base_300 85.0, base_1600 85.5,
large_300 86.6, large_1600 87.3; a linear classifier on base_1600's features 80.1.
"""

from ml_collections import ConfigDict

from vlx.tasks.beit import NO_DECAY


def get_config(recipe: str = "base_300") -> ConfigDict:
    preset, epochs = recipe.split("_")
    long = epochs == "1600"
    c = ConfigDict({"task": "beit", "seed": 0, "epochs": float(epochs)})
    c.model = {"preset": f"{preset}_v2", "encoder": {"drop_path": 0.1 if long else 0.0}}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"codes": 1.0, "tokenizer": ""}
    c.data = {"source": "parquet", "path": "", "flip": True, "crop_scale": (0.2, 1.0)}
    c.data.update({"jitter": 0.4, "target_size": 224, "target_interpolation": "bicubic"})
    c.data.patch_mask = {"patches": 75, "smallest": 16, "exact": True}
    c.batch = {"size": 2048}
    c.optimizer = {"name": "adamw", "lr": 1.5e-3, "b1": 0.9, "b2": 0.999 if long else 0.98}
    c.optimizer.update({"weight_decay": 0.05, "clip": 3.0, "no_decay": NO_DECAY})
    c.optimizer.schedule = {"name": "cosine", "warmup": 10 / float(epochs), "end": 1e-5}
    c.optimizer.schedule.first = "zero_to_peak"
    c.evaluate = {"every": 10_000, "batch_size": 1024, "examples": 50_000}
    c.checkpoint = {"every": 1000, "keep_every": 50_000}
    return c
