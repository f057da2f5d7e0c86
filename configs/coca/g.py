"""CoCa, the paper's 2.1B model: as base.py with the largest model.

    python train.py --config=configs/coca/g.py --config.data.path=pairs --workdir=runs/g

Published, zero-shot: ImageNet 86.3; Flickr30k R@1 image to text 92.5, text to image 80.4;
COCO R@1 66.3 and 51.2. Not reproduced here: the data are not public.
"""

from ml_collections import ConfigDict

from configs.coca import base


def get_config() -> ConfigDict:
    return base.get_config("g")
