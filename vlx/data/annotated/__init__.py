"""Annotation files of public data sets, as their authors publish them."""

from vlx.data.annotated.captions import (
    coco_captions_source,
    flickr30k_source,
    karpathy_source,
    nocaps_source,
    visual_genome_source,
)
from vlx.data.annotated.label_maps import ade20k_source, coco_panoptic_source
from vlx.data.annotated.questions import vqa_source
from vlx.data.annotated.statements import nlvr2_source, nlvr_source

__all__ = [
    "ade20k_source",
    "coco_captions_source",
    "coco_panoptic_source",
    "flickr30k_source",
    "karpathy_source",
    "nlvr2_source",
    "nlvr_source",
    "nocaps_source",
    "visual_genome_source",
    "vqa_source",
]
