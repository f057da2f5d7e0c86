"""open_clip's CoCa checkpoints."""

from vlx.interop import open_clip_blocks as blocks
from vlx.interop.table import Rule
from vlx.models.coca import CONFIGS, CocaConfig

PRESETS = {name: config for name, config in CONFIGS.items() if name.startswith("coca_")}


def table(config: CocaConfig) -> list[Rule]:
    decoder = config.decoder.encoder
    rules = blocks.vision(config.vision, config.embedding)
    rules += blocks.any_text(config.text)
    names = "text_decoder.resblocks.{layer}", "decoder/layers/self"
    rules += blocks.block(*names, decoder)
    names = "text_decoder.cross_attn.{layer}", "decoder/layers/cross"
    rules += blocks.block(*names, decoder, cross=True)
    rules += blocks.norm("text_decoder.ln_final", "decoder/norm")
    rules.append(Rule("text_decoder.text_projection", "head/kernel"))
    return rules + blocks.scalars(config.logit_bias is not None)
