"""`open_clip_config.json`: the model, its pixels and its vocabulary."""

from collections.abc import Mapping
from typing import Any

from vlx.data import TokenizerConfig
from vlx.errors import UserError
from vlx.interop.description import Description
from vlx.interop.open_clip_config import read_config, write_config
from vlx.interop.pretrained import Pixels
from vlx.layers.bert import BertTextConfig
from vlx.layers.pixels import STATISTICS
from vlx.models.clip import ClipConfig
from vlx.models.coca import CocaConfig

Json = dict[str, Any]


def read(official: Mapping[str, Any]) -> Description:
    """The description in a file's content. Raises UserError for what vlx does not know."""
    if "model_cfg" not in official:
        raise UserError("open_clip config: there is no model_cfg; take open_clip_config.json.")
    config = read_config(official["model_cfg"])
    given = official.get("preprocess_cfg", {})
    pixels = Pixels(
        config.vision.image_size,
        _statistics(given.get("mean"), given.get("std")),
        given.get("resize_mode") or "shortest",
        given.get("interpolation") or "bicubic",
    )
    options = official["model_cfg"].get("text_cfg", {}).get("tokenizer_kwargs") or {}
    return Description(config, pixels, _tokenizer(config, options.get("clean", "lower")))


def default(config: ClipConfig) -> Description:
    """What open_clip takes where a model comes without a file of its own."""
    return Description(config, Pixels(config.vision.image_size), _tokenizer(config))


def write(description: Description) -> Json:
    """The content of the file, which `read` reads.

    Raises UserError if open_clip has no such model.
    """
    model_cfg = write_config(description.config)
    _check_decoder(description.config)
    pixels = description.pixels
    mean, deviation = STATISTICS[pixels.statistics]
    return {
        "model_cfg": model_cfg,
        "preprocess_cfg": {
            "size": list(pixels.size),
            "mode": "RGB",
            "mean": list(mean),
            "std": list(deviation),
            "interpolation": pixels.interpolation,
            "resize_mode": pixels.resize_mode,
            "fill_color": 0,
        },
    }


def _check_decoder(config: ClipConfig) -> None:
    """open_clip's decoder reads image tokens of its own width only."""
    if not isinstance(config, CocaConfig):
        return
    width = config.embedding if config.vision.attentional else config.vision.encoder.width
    if width != config.decoder.encoder.width:
        raise UserError(
            f"open_clip has no counterpart of this model: image tokens of width {width} and "
            f"decoder.encoder.width={config.decoder.encoder.width} must be equal there."
        )


def _tokenizer(config: ClipConfig, cleaning: str = "lower") -> TokenizerConfig:
    name = "roberta_bpe" if isinstance(config.text, BertTextConfig) else "clip_bpe"
    return TokenizerConfig(name=name, length=config.text.length, cleaning=cleaning)


def _statistics(mean, deviation) -> str:
    """The name of pixel statistics; those of CLIP if a file has none."""
    if mean is None:
        return "clip"
    for name, values in STATISTICS.items():
        if (tuple(mean), tuple(deviation or ())) == values:
            return name
    known = ", ".join(f"{name} {values[0]}" for name, values in STATISTICS.items())
    raise UserError(
        f"open_clip config: preprocess_cfg.mean={mean} is none that vlx knows; add it to "
        f"vlx/layers/pixels.py, which has {known}."
    )
