r"""VLMo's second stage: masked words of texts alone, with attention and the image expert frozen.

    python train.py --config=configs/vlmo/language.py:base --config.data.path=wikibooks \
        --config.init_from=beit_base_patch16_224_pt22k_ft22kto1k.pth --workdir=runs/language

`wikibooks` is a folder of text files, one line a sample; the paper took English Wikipedia and
BookCorpus. `init_from` is a first stage, any BEiT file, or a run of configs/vlmo/images.py.

What the official launch script trains: word vectors, the text expert and its norm, the prediction
of words, all tables of relative positions and the last norm. Nothing else moves. Steps, rates and
batch are those of the release (base and base_plus); no rate was published for large, 1e-4 is ours.
"""

from ml_collections import ConfigDict

from vlx.tasks.vlmo import FROZEN_BY_TEXTS, NO_DECAY

RATES = {"base": 2e-4, "base_plus": 2e-4, "large": 1e-4}


def get_config(preset: str = "base") -> ConfigDict:
    c = ConfigDict({"task": "vlmo", "seed": 1, "steps": 200_000, "init_from": ""})
    # No experts for pairs in this stage: all layers have those for texts and images alone.
    c.model = {"preset": preset, "text_length": 196}
    c.model.encoder = {"pair_layers": 0, "drop_path": 0.1}
    c.model.compute = {"dtype": "bfloat16", "scan": True, "remat": "names"}
    c.loss = {"text_words": 1.0}
    c.freeze = FROZEN_BY_TEXTS
    c.data = {"source": "text", "path": ""}
    c.data.text_mask = {"unit": "word", "share": 0.15}
    c.tokenizer = {"name": "wordpiece", "length": 196}
    c.batch = {"size": 1024}
    c.optimizer = {"name": "adamw_transformers", "lr": RATES[preset], "b1": 0.9, "b2": 0.98}
    c.optimizer.update({"weight_decay": 0.01, "no_decay": NO_DECAY})
    c.optimizer.schedule = {"name": "linear", "warmup": 2500, "first": "zero"}
    c.evaluate = {"every": 10_000, "batch_size": 1024, "examples": 10_240}
    c.checkpoint = {"every": 1000}
    return c
