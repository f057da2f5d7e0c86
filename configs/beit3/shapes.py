r"""BEiT-3's way on the built-in shapes world: from a teacher to captions, in minutes.

    for stage in teacher tokenizer pretraining captions; do
        python train.py --config=configs/beit3/shapes.py:$stage --workdir=runs/beit3/$stage
    done

`teacher` is a small contrastive model of images and texts, as CLIP; `tokenizer` learns codes of
what it sees in each patch (VQ-KD); `pretraining` fills gaps in images, in texts and in both sides
of pairs, in one step; `captions`, `questions` and `retrieval` fine-tune to writing, answering and
finding. `make demo-beit3` runs the first four.
"""

from ml_collections import ConfigDict

SIZE, PATCH = 48, 12
RUNS = "runs/beit3"
MODEL = {"image_size": SIZE, "patch": PATCH, "compute": {"scan": False}}  # faster on CPUs
MASKED = {"share": 0.5, "unit": "count"}


def _optimizer(lr: float, **changes) -> dict:
    rules = {"name": "adamw", "lr": lr, "b2": 0.98, "weight_decay": 0.05, "clip": 1.0}
    return {**rules, "schedule": {"name": "cosine", "warmup": 0.05}, **changes}


def _teacher(c: ConfigDict) -> None:
    c.task, c.steps = "coca", 400
    c.model = {"preset": "tiny", "image_size": SIZE, "vocabulary": 512, "text_length": 24}
    c.model.vision = {"patch": PATCH, "class_token": True, "pooling": "tok", "input_norm": True}
    c.model.compute = MODEL["compute"]
    c.loss = {"contrastive": 1.0, "captioning": 0.0}
    c.optimizer = _optimizer(1e-3)
    c.evaluate.names, c.evaluate.captions = ("retrieval",), 1


def _tokenizer(c: ConfigDict) -> None:
    c.task, c.steps = "vqkd", 200
    c.model = {"preset": "tiny", **MODEL, "features": 128}
    # A run of a few hundred steps: codes move faster, and none stays unused.
    c.loss = {"teacher": f"{RUNS}/teacher", "decay": 0.95, "restart": 0.1}
    c.data.update({"flip": True, "crop_scale": (0.4, 1.0)})
    c.optimizer = _optimizer(1e-3, b2=0.99, weight_decay=1e-4)


def _pretraining(c: ConfigDict) -> None:
    c.task, c.steps = "beit3_pretraining", 600
    c.model = {"preset": "tiny", **MODEL}
    c.loss = {"tokenizer": f"{RUNS}/tokenizer"}
    c.data.update({"target_size": SIZE, "target_interpolation": "bicubic"})
    c.data.patch_mask = {"patches": 6, "smallest": 2, "exact": True}  # 40 % of 16
    c.data.text_mask = MASKED
    c.groups = {
        "image": {"size": 32, "data": {"flip": True, "crop_scale": [0.4, 1.0]}},
        "text": {"size": 32, "data": {"text_mask": {**MASKED, "share": 0.15}}},
        "pair": {"size": 32},
    }
    c.optimizer = _optimizer(2e-3)


def _fine_tuning(c: ConfigDict, **loss: float) -> None:
    c.task, c.init_from, c.loss = "beit3", f"{RUNS}/pretraining", loss
    c.model = {"preset": "tiny", **MODEL}
    c.optimizer = _optimizer(1e-3)


def _captions(c: ConfigDict) -> None:
    _fine_tuning(c, captions=1.0, drop_worst=0.0)
    c.steps = 900
    c.data.text_mask = {"share": 0.7, "unit": "caption"}
    c.evaluate.decode = {"max_length": 24}


def _questions(c: ConfigDict) -> None:
    _fine_tuning(c, answers=1.0)
    c.steps = 600
    c.model.answers = 32
    c.data.about = "open_questions"  # yes or no asks for a comparison, which is learned late


def _retrieval(c: ConfigDict) -> None:
    _fine_tuning(c, contrastive=1.0)
    c.steps = 400
    c.evaluate.captions = 1


STAGES = {
    "teacher": _teacher,
    "tokenizer": _tokenizer,
    "pretraining": _pretraining,
    "captions": _captions,
    "questions": _questions,
    "retrieval": _retrieval,
}


def get_config(stage: str = "pretraining") -> ConfigDict:
    c = ConfigDict({"seed": 0})
    c.data = {"source": "shapes", "objects": (1, 1), "caption": "first", "threads": 0}
    c.tokenizer = {"vocab_size": 512, "length": 24}
    c.batch = {"size": 64}
    c.evaluate = {"every": 300, "batch_size": 128, "examples": 256}
    c.checkpoint = {"every": 300, "keep": 1}
    STAGES[stage](c)
    return c
