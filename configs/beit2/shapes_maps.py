"""A segmenter from nothing on the built-in world: shapes and their background, nine classes.

    python train.py --config=configs/beit2/shapes_maps.py --workdir=runs/maps

Result on 256 validation pictures after 500, 1000 and 1500 steps: mean IoU 0.17, 0.49, 0.58, pixel
accuracy 0.86, 0.92, 0.94, in 14 minutes on two busy CPU cores. At first it tells shapes from their
background alone; which shape it is, it learns from about step 500 on.
"""

from ml_collections import ConfigDict

from vlx.tasks.segmentation import NO_DECAY


def get_config() -> ConfigDict:
    c = ConfigDict({"task": "segmentation", "seed": 0, "steps": 1500, "init_from": ""})
    c.model = {"preset": "tiny", "classes": 9}
    c.loss = {"statistics_group": 16}
    c.data = {"source": "shapes", "about": "label_maps", "flip": True}
    # Pictures hold large shapes: a crop is nearly a whole one, and may be background for the most.
    c.data.label_map = {"scale": (0.9, 1.2), "most": 0.95, "distort": False}
    c.batch = {"size": 32}
    c.optimizer = {"name": "adamw", "lr": 3e-3, "weight_decay": 0.05, "clip": 1.0}
    c.optimizer.no_decay = NO_DECAY
    c.optimizer.schedule = {"name": "cosine", "warmup": 100}
    c.evaluate = {"every": 500, "batch_size": 64, "examples": 256}
    c.checkpoint = {"every": 500}
    return c
