"""Weights in and out: every published format that vlx reads and writes."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from vlx.interop import (
    clip,
    dall_e,
    dino,
    mmseg_upernet,
    open_clip_coca,
    open_clip_files,
    open_clip_state,
    unilm_beit,
    unilm_beit2,
    unilm_beit2_vqkd,
    unilm_beit3,
    unilm_beit3_config,
    unilm_files,
    unilm_vlmo,
    unilm_vlmo_config,
)
from vlx.interop.description import ConfigFile, Description
from vlx.interop.table import Rule
from vlx.models import beit, beit3, dvae, vlmo

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True)
class Format:
    """How others write one kind of model."""

    about: str  # in a few words
    model: str  # a name in `vlx.models.MODELS`
    presets: Mapping[str, Any]  # model configs of published files, by their official names
    weights_file: str
    knows: Callable[[Collection[str]], bool]  # whether these names of tensors are of this format
    default: Callable[[Any], Description]  # what goes with a bare model config
    table: Callable[[Any, Collection[str]], list[Rule]]  # of a config, for a file with such names
    clean: Callable[[Mapping[str, Any], Mapping[str, tuple[int, ...]]], dict[str, Any]]
    config_file: ConfigFile | None = None
    # The model config that tensors tell by themselves, with another that may say what they do not.
    describe: Callable[[Mapping[str, Any], Any], Any] | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """What an export consists of."""
        return (*([self.config_file.name] if self.config_file else []), self.weights_file)


def _as_it_is(state: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    return dict(state)


_OPEN_CLIP = {
    "config_file": ConfigFile("open_clip_config.json", open_clip_files.read, open_clip_files.write),
    "weights_file": "open_clip_model.safetensors",
    "default": open_clip_files.default,
    "clean": open_clip_state.clean,
}
_UNILM = {"weights_file": "model.safetensors", "default": unilm_files.default}

FORMATS = {
    "open_clip_coca": Format(
        about="CoCa as open_clip trains and publishes it",
        model="coca",
        presets=open_clip_coca.PRESETS,
        knows=lambda names: any(name.startswith("text_decoder.") for name in names),
        table=lambda config, names: open_clip_coca.table(config),
        **_OPEN_CLIP,
    ),
    "clip": Format(
        about="CLIP of OpenAI and open_clip, with either layout of the text tower",
        model="clip",
        presets=clip.PRESETS,
        knows=lambda names: "visual.proj" in names and "logit_scale" in names,
        table=clip.table_for,
        **_OPEN_CLIP,
    ),
    "unilm_vlmo": Format(
        about="VLMo of unilm, of any stage",
        model="vlmo",
        presets=vlmo.CONFIGS,
        knows=lambda names: "transformer.patch_embed.proj.weight" in names,
        table=lambda config, names: unilm_vlmo.table(config),
        clean=unilm_vlmo.clean,
        config_file=unilm_files.config_file(
            unilm_vlmo_config.read_config, unilm_vlmo_config.write_config
        ),
        describe=unilm_vlmo_config.describe,
        **_UNILM,
    ),
    "unilm_beit3": Format(
        about="BEiT-3 of unilm, of any stage",
        model="beit3",
        presets=beit3.CONFIGS,
        weights_file="model.safetensors",
        knows=unilm_beit3_config.knows,
        default=unilm_beit3_config.default,
        table=lambda config, names: unilm_beit3.table(config, unilm_beit3_config.prefix_of(names)),
        clean=unilm_beit3_config.clean,
        config_file=unilm_beit3_config.CONFIG_FILE,
        describe=unilm_beit3_config.describe,
    ),
    "dino": Format(  # whose names are among BEiT's, so it is asked first
        about="the Vision Transformers of DINO",
        model="beit",
        presets=dino.PRESETS,
        knows=dino.knows,
        table=lambda config, names: dino.table(config),
        clean=_as_it_is,
        describe=dino.describe,
        **_UNILM,
    ),
    "unilm_beit2": Format(
        about="BEiT v2 of unilm, self-supervised or with classes",
        model="beit",
        presets=unilm_beit2.PRESETS,
        knows=unilm_beit2.knows,
        table=lambda config, names: unilm_beit.table(config),
        clean=_as_it_is,
        config_file=unilm_files.config_file(unilm_beit2.read_config, unilm_beit.write_config),
        describe=unilm_beit2.describe,
        **_UNILM,
    ),
    "unilm_beit": Format(
        about="BEiT of unilm, self-supervised or with classes",
        model="beit",
        presets=beit.CONFIGS,
        knows=lambda names: {"patch_embed.proj.weight", "blocks.0.attn.qkv.weight"} <= set(names),
        table=lambda config, names: unilm_beit.table(config),
        clean=_as_it_is,
        config_file=unilm_files.config_file(unilm_beit.read_config, unilm_beit.write_config),
        describe=unilm_beit.describe,
        **_UNILM,
    ),
    "unilm_beit2_vqkd": Format(
        about="VQ-KD of unilm, BEiT v2's visual tokenizer",
        model="vqkd",
        presets=unilm_beit2_vqkd.PRESETS,
        knows=lambda names: unilm_beit2_vqkd.CODEBOOK in names,
        table=lambda config, names: unilm_beit2_vqkd.table(config),
        clean=unilm_beit2_vqkd.clean,
        weights_file="model.safetensors",
        default=unilm_beit2_vqkd.default,
        config_file=unilm_beit2_vqkd.CONFIG_FILE,
        describe=unilm_beit2_vqkd.describe,
    ),
    "mmseg_upernet": Format(
        about="BEiT under UPerNet in mmsegmentation, which tells a class for every pixel",
        model="segmenter",
        presets=mmseg_upernet.PRESETS,
        weights_file="model.safetensors",
        knows=lambda names: mmseg_upernet.SIGN in names,
        default=mmseg_upernet.default,
        table=lambda config, names: mmseg_upernet.table(config),
        clean=_as_it_is,
        config_file=mmseg_upernet.CONFIG_FILE,
        describe=mmseg_upernet.describe,
    ),
    "dall_e": Format(
        about="the encoder of DALL-E's autoencoder, BEiT's visual tokenizer",
        model="dvae",
        presets=dvae.CONFIGS,
        weights_file="model.safetensors",
        knows=lambda names: dall_e.OUTPUT in names,
        default=dall_e.default,
        table=lambda config, names: dall_e.table(config),
        clean=_as_it_is,
        describe=dall_e.describe,
    ),
}
