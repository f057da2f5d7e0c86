"""open_clip's model configs (`model_cfg`) to vlx model configs, and back.

Defaults are those of open_clip's dataclasses. Options that change nothing in a model are read and
forgotten; unknown ones are errors.
"""

from collections.abc import Mapping
from typing import Any

from flax.traverse_util import flatten_dict

from vlx.config import to_dict
from vlx.errors import UserError
from vlx.interop.clip import separate_text
from vlx.layers.attention import AttentionOptions
from vlx.layers.bert import BertConfig, BertTextConfig
from vlx.layers.stack import Compute
from vlx.layers.text import TextConfig
from vlx.layers.transformer import TransformerConfig
from vlx.layers.vision import PoolerConfig, VisionConfig
from vlx.models.clip import ClipConfig
from vlx.models.coca import CocaConfig, DecoderConfig

Json = dict[str, Any]

# vlx name -> (official name, official default) of what a block may add
BLOCK = {
    "branch_norm": ("scale_attn", False),
    "mlp_norm": ("scale_fc", False),
}
ATTENTION = {
    "qk_norm": ("qk_norm", False),
    "cosine": ("scaled_cosine_attn", False),
    "head_scale": ("scale_heads", False),
    "inner_norm": ("scale_attn_inner", False),
}
IGNORED = {
    "output_tokens", "hf_tokenizer_name", "tokenizer_kwargs", "hf_model_pretrained", "dim_head",
    "n_queries", "block_type",
}  # fmt: skip
TRAINING_ONLY = {"dropout", "initial"}  # fields that a trained model does not depend on
POSITIONS = {"learnable": "learned", "sin_cos_2d": "sine"}
MASKS = {"use_pad_mask": "pad", "correct_cls_mask": "correct"}  # releases up to 3.3 know neither
HF_POOLERS = {
    "mean_pooler": "mean",
    "max_pooler": "max",
    "cls_last_hidden_state_pooler": "first",
}
LOGIT_SCALE = ClipConfig.__dataclass_fields__["logit_scale"].default


class Section:
    """One section of an official config; remembers what was read, so that the rest can be named."""

    def __init__(self, name: str, values: Mapping[str, Any]):
        self.name, self.values = name, dict(values)
        for key in IGNORED:
            self.values.pop(key, None)

    def take(self, key: str, default: Any = None) -> Any:
        return self.values.pop(key, default)

    def finish(self) -> None:
        left = sorted(key for key, value in self.values.items() if value is not None)
        if left:
            raise UserError(
                f"open_clip config: {self.name} has options that vlx does not know: "
                f"{', '.join(left)}."
            )


def read_config(
    official: Mapping[str, Any], compute: Compute = Compute()
) -> CocaConfig | ClipConfig:
    """The vlx config of an official `model_cfg`: CoCa if it has a `multimodal_cfg`, else CLIP."""
    top = Section("the top level", official)
    vision, language = top.take("vision_cfg"), top.take("text_cfg")
    decoder = top.take("multimodal_cfg")
    activation = "quick_gelu" if top.take("quick_gelu", False) else "gelu"
    embedding = top.take("embed_dim")
    common = {
        "embedding": embedding,
        "logit_scale": top.take("init_logit_scale", LOGIT_SCALE),
        "logit_bias": top.take("init_logit_bias"),
        "scalar_shape": (1,) if top.take("nonscalar_logit_scale", False) else (),
        "compute": compute,
    }
    for key in ("custom_text", "pad_id"):  # the layout of names; the pad id of the data
        top.take(key)
    top.finish()
    common["vision"] = _vision(Section("vision_cfg", vision), activation)
    common["text"] = _text(Section("text_cfg", language), activation)
    if decoder is None:
        return ClipConfig(**common)
    # open_clip takes the decoder's columns from the text section, its MLP ratio is always 4.
    vocabulary = language.get("vocab_size", 49408)
    return CocaConfig(
        decoder=_decoder(Section("multimodal_cfg", decoder), activation, vocabulary), **common
    )


def _tower(s: Section, activation: str, width: int, heads: int, ratio: float, initial: str):
    width = s.take("width", width)
    return TransformerConfig(
        width=width,
        layers=s.take("layers", 12),
        heads=heads,
        hidden=int(width * ratio),
        activation=activation,
        layer_scale=s.take("ls_init_value") or 0.0,
        attention=AttentionOptions(**{k: s.take(*v) for k, v in ATTENTION.items()}),
        initial=initial,
        **{k: s.take(*v) for k, v in BLOCK.items()},
    )


def _vision(s: Section, activation: str) -> VisionConfig:
    size = s.take("image_size", 224)
    size = (size, size) if isinstance(size, int) else tuple(size)
    heads = s.values.get("width", 768) // s.take("head_width", 64)
    pooler, pool = s.take("attentional_pool", False), s.take("pool_type", "tok")
    named = {False: pool, None: pool, True: "shared_queries"}
    config = VisionConfig(
        image_size=size,
        patch=s.take("patch_size", 16),
        positions=POSITIONS[s.take("pos_embed_type", "learnable")],
        input_norm=not s.take("no_ln_pre", False),
        patch_dropout=s.take("patch_dropout", 0.0),
        pooling=named.get(pooler, pooler),
        query_pooling=pool if pooler else "tok",
        norm_after_pooling=s.take("final_ln_after_pool", False),
        pooler=PoolerConfig(
            queries=s.take("attn_pooler_queries", 256),
            heads=s.take("attn_pooler_heads", 8),
            norm_after=pooler not in ("parallel", "cascade"),
        ),
        encoder=_tower(s, activation, 768, heads, s.take("mlp_ratio", 4.0), "uniform"),
    )
    s.finish()
    return config


def _text(s: Section, activation: str) -> TextConfig | BertTextConfig:
    if s.take("hf_model_name"):
        return _bert(s)
    heads, has_class = s.take("heads", 8), s.take("embed_cls", False)
    causal = not s.take("no_causal_mask", False)
    masked, correct = s.take("use_pad_mask", False), s.take("correct_cls_mask", False)
    pooling = s.take("pool_type", "argmax")
    if has_class:
        mask = "correct" if correct else "legacy"
    else:
        mask = "pad" if masked and not causal else "none"
    config = TextConfig(
        vocabulary=s.take("vocab_size", 49408),
        length=s.take("context_length", 77),
        causal=causal,
        mask=mask,
        pooling="class" if has_class else pooling,
        pad=s.take("pad_id", 0),
        end=s.take("eos_id", 2),
        projection=s.take("proj_type", "linear") != "none",
        projection_bias=s.take("proj_bias", False),
        norm_tokens=not has_class,
        encoder=_tower(s, activation, 512, heads, s.take("mlp_ratio", 4.0), "normal"),
    )
    s.finish()
    return config


def _bert(s: Section) -> BertTextConfig:
    """A Hugging Face text tower; without sizes of its own it is RoBERTa-base."""
    h = s.take("hf_config", {})
    names = {
        "vocabulary": "vocab_size",
        "width": "hidden_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "hidden": "intermediate_size",
        "positions": "max_position_embeddings",
        "types": "type_vocab_size",
        "pad": "pad_token_id",
        "epsilon": "layer_norm_eps",
    }
    for key in ("width", "vocab_size"):  # repeat what the Hugging Face config says
        s.take(key)
    config = BertTextConfig(
        encoder=BertConfig(**{ours: h[key] for ours, key in names.items() if key in h}),
        length=s.take("context_length", 77),
        pooling=HF_POOLERS[s.take("hf_pooler_type", "mean_pooler")],
        projection=s.take("hf_proj_type", "mlp"),
    )
    s.finish()
    return config


def _decoder(s: Section, activation: str, vocabulary: int) -> DecoderConfig:
    for key in ("mlp_ratio", "vocab_size", "context_length", "attn_pooler_heads"):
        s.take(key)  # accepted and ignored by open_clip
    encoder = _tower(s, activation, 512, s.take("heads", 8), 4.0, "uniform")
    s.finish()
    return DecoderConfig(encoder, vocabulary, "separate_mlp")


def write_config(config: CocaConfig | ClipConfig) -> Json:
    """The official `model_cfg` of a vlx config: the inverse of `read_config`.

    Raises UserError if open_clip has no such model.
    """
    activation = config.vision.encoder.activation
    result = {
        "embed_dim": config.embedding,
        "quick_gelu": activation == "quick_gelu",
        "init_logit_scale": config.logit_scale,
        "init_logit_bias": config.logit_bias,
        "nonscalar_logit_scale": config.scalar_shape == (1,),
        "custom_text": isinstance(config, CocaConfig) or separate_text(config),
        "vision_cfg": _write_vision(config.vision),
        "text_cfg": _write_text(config.text),
    }
    if isinstance(config, CocaConfig):
        tower = config.decoder.encoder
        result["vision_cfg"]["output_tokens"] = result["text_cfg"]["output_tokens"] = True
        result["multimodal_cfg"] = {
            "context_length": config.text.length,
            "vocab_size": config.decoder.vocabulary,
            "heads": tower.heads,
            **_write_tower(tower),
        }
    _check_counterpart(config, result)
    return result


def _write_tower(c: TransformerConfig) -> Json:
    options = {official: getattr(c, ours) for ours, (official, _) in BLOCK.items()}
    options |= {official: getattr(c.attention, ours) for ours, (official, _) in ATTENTION.items()}
    return {
        "width": c.width,
        "layers": c.layers,
        "ls_init_value": c.layer_scale or None,
        **{name: value for name, value in options.items() if value},
    }


def _write_vision(c: VisionConfig) -> Json:
    attentional = c.pooling if c.attentional else False
    return {
        "image_size": list(c.image_size),
        "patch_size": c.patch,
        "head_width": c.encoder.width // c.encoder.heads,
        "mlp_ratio": c.encoder.hidden / c.encoder.width,
        "pos_embed_type": {ours: name for name, ours in POSITIONS.items()}[c.positions],
        "no_ln_pre": not c.input_norm,
        "patch_dropout": c.patch_dropout,
        "attentional_pool": True if attentional == "shared_queries" else attentional,
        "pool_type": c.query_pooling if c.attentional else c.pooling,
        "final_ln_after_pool": c.norm_after_pooling,
        "attn_pooler_queries": c.pooler.queries,
        "attn_pooler_heads": c.pooler.heads,
        **_write_tower(c.encoder),
    }


def _write_text(c: TextConfig | BertTextConfig) -> Json:
    if isinstance(c, BertTextConfig):
        return {
            "hf_model_name": "roberta-base",
            "hf_tokenizer_name": "roberta-base",
            "hf_proj_type": c.projection,
            "hf_pooler_type": {ours: name for name, ours in HF_POOLERS.items()}[c.pooling],
            "width": c.encoder.width,
            "context_length": c.length,
        }
    return {
        "vocab_size": c.vocabulary,
        "context_length": c.length,
        "heads": c.encoder.heads,
        "mlp_ratio": c.encoder.hidden / c.encoder.width,
        "no_causal_mask": not c.causal,
        "embed_cls": c.class_token,
        "pool_type": "argmax" if c.class_token else c.pooling,
        "pad_id": c.pad,
        "eos_id": c.end,
        "proj_type": "linear" if c.projection else "none",
        "proj_bias": c.projection_bias,
        **{official: True for official, mask in MASKS.items() if mask == c.mask},
        **_write_tower(c.encoder),
    }


def _check_counterpart(config: CocaConfig | ClipConfig, official: Json) -> None:
    """Names what open_clip cannot express: what does not come back as it went."""
    again = flatten_dict(to_dict(read_config(official, config.compute)), sep=".")
    wrong = [
        f"{name}={value!r}"
        for name, value in flatten_dict(to_dict(config), sep=".").items()
        if again[name] != value and name.rsplit(".")[-1] not in TRAINING_ONLY
    ]
    if wrong:
        raise UserError(f"open_clip has no counterpart of this model: {', '.join(wrong)}.")
