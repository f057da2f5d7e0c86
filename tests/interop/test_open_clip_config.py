"""open_clip's configs: there and back, and what has no counterpart."""

from dataclasses import replace

import pytest

from vlx.errors import UserError
from vlx.interop.open_clip_config import read_config, write_config
from vlx.layers.attention import AttentionOptions
from vlx.layers.bert import BertConfig
from vlx.models import clip, coca

import small_models as small

CONFIGS = {name: c for name, c in coca.CONFIGS.items() if name.startswith("coca_")} | clip.CONFIGS
TOWER = replace(small.TOWER, width=128, hidden=512)
OPTIONS = replace(
    TOWER, layer_scale=0.1, branch_norm=True, mlp_norm=True,
    attention=AttentionOptions(cosine=True, head_scale=True, inner_norm=True),
)  # fmt: skip
NORMAL = replace(OPTIONS, initial="normal", attention=AttentionOptions(qk_norm=True))
RICH = clip.ClipConfig(
    vision=replace(
        small.VISION, encoder=OPTIONS, image_size=(9, 9), positions="sine", input_norm=False,
        patch_dropout=0.3, pooling="avg", norm_after_pooling=True,
    ),
    text=replace(
        small.TEXT, encoder=NORMAL, causal=False, mask="pad", pooling="eos", pad=1, end=3,
        projection_bias=True, norm_tokens=True,
    ),
    embedding=13,
    logit_scale=1.5,
    logit_bias=-10.0,
    scalar_shape=(1,),
)  # fmt: skip


def test_there_are_presets():
    assert len(CONFIGS) == 8


@pytest.mark.parametrize("config", [*CONFIGS.values(), RICH], ids=[*CONFIGS, "every option"])
def test_there_and_back_is_the_identity(config):
    assert read_config(write_config(config)) == config


@pytest.mark.parametrize("name", ["tiny", "base", "large", "g"])
def test_the_papers_models_have_no_counterpart(name):
    with pytest.raises(UserError, match=r"no counterpart of this model: .*single_mlp"):
        write_config(coca.CONFIGS[name])


BASE = coca.CONFIGS["coca_base"]
ROBERTA = coca.CONFIGS["coca_roberta-ViT-B-32"]


def with_decoder(config, **changes):
    return replace(config, decoder=replace(config.decoder, **changes))


LOST = {
    "decoder.tie_embeddings": with_decoder(BASE, tie_embeddings=True),
    "decoder.vocabulary": with_decoder(BASE, vocabulary=17),
    "decoder.encoder.hidden": with_decoder(BASE, encoder=replace(BASE.decoder.encoder, hidden=17)),
    "decoder.encoder.activation": with_decoder(
        BASE, encoder=replace(BASE.decoder.encoder, activation="quick_gelu")
    ),
    "vision.class_token": replace(
        BASE, vision=replace(BASE.vision, class_token=False, pooling="avg")
    ),
    "vision.pooler.contrastive_queries": replace(
        BASE,
        vision=replace(
            BASE.vision,
            pooling="parallel",
            pooler=replace(BASE.vision.pooler, contrastive_queries=2, norm_after=False),
        ),
    ),
    "vision.pooler.norm_after": replace(BASE, vision=replace(BASE.vision, pooling="cascade")),
    "vision.encoder.epsilon": replace(
        BASE, vision=replace(BASE.vision, encoder=replace(BASE.vision.encoder, epsilon=1e-6))
    ),
    "text.norm_tokens": replace(BASE, text=replace(BASE.text, norm_tokens=True)),
    "text.encoder.layers": replace(
        ROBERTA, text=replace(ROBERTA.text, encoder=BertConfig(layers=3))
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_what_would_be_lost_is_refused(name):
    with pytest.raises(UserError, match=f"no counterpart of this model: .*{name}="):
        write_config(LOST[name])


def test_initial_values_and_dropout_are_no_part_of_a_finished_model():
    encoder = replace(ROBERTA.text.encoder, dropout=0.0)
    config = replace(ROBERTA, text=replace(ROBERTA.text, encoder=encoder))
    assert read_config(write_config(config)) == ROBERTA


def test_unknown_options_are_named():
    official = write_config(BASE)
    official["vision_cfg"] |= {"rotary": True, "timm_model_name": "x"}
    with pytest.raises(UserError, match=r"vision_cfg has options .* not know: rotary, timm_model"):
        read_config(official)


def test_options_that_are_off_may_be_unknown():
    official = write_config(BASE)
    official["text_cfg"] |= {"novelty": None}
    assert read_config(official) == BASE


def test_defaults_are_open_clips():
    config = read_config({"embed_dim": 512, "vision_cfg": {}, "text_cfg": {}})
    assert config == clip.CONFIGS["ViT-B-16"]


def test_clip_is_not_asked_for_tokens_which_it_could_not_return():
    for config, section in ((clip.CONFIGS["ViT-B-32"], "vision_cfg"), (RICH, "text_cfg")):
        assert "output_tokens" not in write_config(config)[section]
    assert write_config(BASE)["vision_cfg"]["output_tokens"]


def test_options_that_releases_lack_are_written_only_where_they_count():
    assert not {"use_pad_mask", "correct_cls_mask"} & write_config(BASE)["text_cfg"].keys()
    assert write_config(RICH)["text_cfg"]["use_pad_mask"]


def test_a_class_token_asks_for_a_text_tower_apart():
    assert write_config(replace(RICH, text=BASE.text))["custom_text"]
    assert not write_config(clip.CONFIGS["ViT-B-32"])["custom_text"]
