"""CoCa-Large, the paper's pre-training: as base.py with the larger model.

    python train.py --config=configs/coca/large.py --config.data.path=pairs --workdir=runs/large

Published, zero-shot: ImageNet 84.8; Flickr30k R@1 image to text 91.4, text to image 79.0;
COCO R@1 65.4 and 50.1. Not reproduced here: the data are not public.
"""

from ml_collections import ConfigDict

from configs.coca import base


def get_config() -> ConfigDict:
    return base.get_config("large")
