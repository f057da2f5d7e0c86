"""BEiT-3's sizes and forms, of the released weights and of the paper.

Paper: arXiv 2208.10442. The released base and large models give every kind of token weights of its
own in all layers; the giant model of the paper shares attention, and has experts for pairs in its
last three layers.
"""

from dataclasses import dataclass, replace

import numpy as np

from vlx.layers.images import ImageTokensConfig
from vlx.layers.multiway import MultiwayConfig
from vlx.layers.stack import Compute
from vlx.models.headed import Headed

HEADS = ("contrastive", "words", "codes", "captions", "classes", "answers", "truth")
NORM_OF_THEIR_OWN = ("classes", "answers")  # heads after an encoder without a last norm
RESERVED = 2  # rows of both tables of positions that nothing reads


@dataclass(frozen=True)
class Beit3Config(Headed):
    encoder: MultiwayConfig
    image_size: tuple[int, int] = (224, 224)  # height, width
    patch: int = 16
    vocabulary: int = 64010
    text_length: int = 1022  # of the longest text
    heads: tuple[str, ...] = ("words", "codes")
    codes: int = 8192  # of the visual tokenizer
    classes: int = 1000
    answers: int = 3129
    pad: int = 1  # XLM-RoBERTa's
    mask: int = 64001  # the word that captions are written in place of
    final_norm: bool | None = None  # by default all have it but NORM_OF_THEIR_OWN
    position_deviation: float = 1.0  # of fresh positions; that of words is 1 / sqrt(width)
    logit_scale: float = np.log(1 / 0.07)  # initial, of its logarithm
    sub_norm_scale: bool = True  # fresh kernels after inner norms are larger, arXiv 2210.06423
    compute: Compute = Compute()

    def __post_init__(self):
        self.check_heads(HEADS)
        if self.final_norm is None:
            own = set(self.heads) & set(NORM_OF_THEIR_OWN)
            object.__setattr__(self, "final_norm", not own)

    @property
    def image_tokens(self) -> ImageTokensConfig:
        return ImageTokensConfig(
            self.image_size,
            self.patch,
            self.encoder.width,
            positions=True,
            reserved=RESERVED,
            mask_token=True,
            deviation=0.0,
            position_deviation=self.position_deviation,
        )


def _released(layers: int, width: int, heads: int, **options) -> Beit3Config:
    """Nothing is shared but attention itself."""
    encoder = MultiwayConfig(
        width,
        layers,
        heads,
        4 * width,
        experts=("image", "text"),
        apart=True,
        inner_norm=True,
        epsilon=1e-5,
        biases="qkv",
        drop_together=True,
        truncated=True,
    )
    return Beit3Config(encoder, **options)


def _paper(config: Beit3Config, **changes) -> Beit3Config:
    """Shared attention, and experts for pairs in the last three layers."""
    shared = replace(config.encoder, apart=False, pair_layers=3, **changes)
    return replace(config, encoder=shared)


_TINY = _released(4, 96, 4, image_size=(48, 48), patch=8, vocabulary=512, text_length=32)
_BASE, _LARGE = _released(12, 768, 12), _released(24, 1024, 16)

CONFIGS = {
    "tiny": replace(
        _TINY,
        encoder=replace(_TINY.encoder, hidden=288, deviation=0.15),
        codes=64,
        classes=64,
        answers=64,
        position_deviation=0.1,  # as large as words: a short run learns what is there, not where
        pad=0,  # these are of tokenizers that are trained here
        mask=4,
    ),
    "base": _BASE,
    "large": _LARGE,
    "base_paper": _paper(_BASE),
    "large_paper": _paper(_LARGE),
    "giant": _paper(_released(40, 1408, 16, patch=14), hidden=6144),
}
