r"""BEiT-3's pre-training: gaps in images, in texts and in both sides of pairs (arXiv 2208.10442).

    python train.py --config=configs/beit3/pretrain.py:base \
        --config.loss.tokenizer=vqkd_encoder_base_decoder_3x768x12_clip.pth \
        --config.tokenizer.path=beit3.spm --config.groups.image.data.path=imagenet22k \
        --config.groups.text.data.path=texts --config.groups.pair.data.path=pairs \
        --workdir=runs/beit3

`base` and `large` have the layout of the released weights, `base_paper`, `large_paper` and `giant`
that of the paper. The values are the paper's for the giant model: a million steps of 2048 images,
2048 texts and 2048 pairs. The paper's data are ImageNet-21k, 160 GB of English text, and 21 million
pairs of CC12M, CC3M, SBU, COCO and Visual Genome. The code was never published; docs/beit3.md says
what of this is exact and what is assumed.

Published after fine-tuning: see the other recipes of this folder.
"""

from ml_collections import ConfigDict

from vlx.tasks.beit3 import NO_DECAY

PICTURES = {"crop_scale": (0.2, 1.0), "flip": True, "jitter": 0.4}
SIZES = {"giant": 14}  # pixels of a patch, where they are not 16
TEXT_LENGTH = 128


def get_config(preset: str = "base") -> ConfigDict:
    patches = (224 // SIZES.get(preset, 16)) ** 2
    c = ConfigDict({"task": "beit3_pretraining", "seed": 0, "steps": 1_000_000})
    c.model = {"preset": preset, "encoder": {"drop_path": 0.1}}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"tokenizer": ""}
    c.data = {"source": "parquet", "path": "", "resize_mode": "squash", **PICTURES}
    # The tokenizer has a code for each of 14 x 14 patches of 16 pixels; giant's are 16 x 16.
    c.data.update({"target_size": 224 if patches == 196 else 256})
    c.data.target_interpolation = "bicubic"
    c.data.patch_mask = {"patches": round(0.4 * patches), "smallest": 16, "exact": True}
    c.data.text_mask = {"unit": "count", "share": 0.5}
    texts = {"source": "text", "text_mask": {"unit": "count", "share": 0.15}}
    c.groups = {
        "image": {"size": 2048, "data": {"path": ""}},
        "text": {"size": 2048, "data": {"path": "", **texts}},
        "pair": {"size": 2048, "data": {"path": ""}},
    }
    c.tokenizer = {"name": "xlm_roberta", "path": "", "length": TEXT_LENGTH}
    c.optimizer = {"name": "adamw", "lr": 1e-3, "b1": 0.9, "b2": 0.98, "eps": 1e-6}
    c.optimizer.update({"weight_decay": 0.05, "clip": 3.0, "no_decay": NO_DECAY})
    c.optimizer.schedule = {"name": "cosine", "warmup": 10_000}
    c.evaluate = {"every": 10_000, "batch_size": 1024, "examples": 10_240}
    c.checkpoint = {"every": 1000, "keep_every": 100_000}
    return c
