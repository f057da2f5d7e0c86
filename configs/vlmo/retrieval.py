r"""VLMo fine-tuned to retrieval between pictures and captions, at 384 pixels.

    python train.py --config=configs/vlmo/retrieval.py:coco_base --config.data.path=coco \
        --config.init_from=runs/pairs --workdir=runs/coco
    python train.py --config=configs/vlmo/retrieval.py:flickr30k_base --config.data.path=flickr30k \
        --config.init_from=runs/coco --workdir=runs/flickr30k

The folders hold Karpathy's dataset_coco.json or dataset_flickr30k.json and the pictures. Only the
dual encoder is trained. On Flickr30k the released base and large models begin with those for COCO,
base_plus with the pre-trained one. Results on the test splits: `eval.py --split=test`.

Published, R@1 image to text / text to image: COCO base 74.8 / 57.2, base_plus 76.3 / 58.6, large
78.2 / 60.6; Flickr30k base 92.3 / 79.3, base_plus 93.2 / 81.8, large 95.3 / 84.5.
"""

from ml_collections import ConfigDict

from vlx.tasks.vlmo import NO_DECAY

RATES = {"base": 3e-5, "base_plus": 3e-5, "large": 2e-5}
STEPS = {"coco": 3000, "flickr30k": 1500}
WARMUP = {"coco": 300, "flickr30k": 150}
DROP_PATHS = {"flickr30k_base": 0.15}  # the others have 0.2


def get_config(name: str = "coco_base") -> ConfigDict:
    data, preset = name.split("_", 1)
    c = ConfigDict({"task": "vlmo", "seed": 1, "steps": STEPS[data], "init_from": ""})
    c.model = {"preset": preset, "image_size": 384}
    c.model.encoder = {"drop_path": DROP_PATHS.get(name, 0.2)}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"contrastive": 1.0, "pair_branch": False}
    c.data = {"source": "karpathy", "path": "", "resize_mode": "squash"}
    c.data.train_split = "train+restval" if data == "coco" else "train"
    c.data.update({"crop_scale": (0.5, 1.0), "flip": True})
    c.data.update({"augment": "randaugment_overflowing", "augment_level": 7})
    c.tokenizer = {"name": "wordpiece", "length": 40}
    c.batch = {"size": 3072}
    c.optimizer = {"name": "adamw_transformers", "lr": RATES[preset], "b1": 0.9, "b2": 0.98}
    c.optimizer.update({"weight_decay": 0.01, "no_decay": NO_DECAY})
    c.optimizer.schedule = {"name": "linear", "warmup": WARMUP[data], "first": "zero"}
    c.evaluate = {"every": 500, "batch_size": 512}
    c.checkpoint = {"every": 250, "keep": 4}
    return c
