r"""Does BEiT-3's pre-training help? Three questions, on small models.

    python experiments/beit3_ablations.py --easy_vqa=easy_vqa/train.jsonl --coco=coco_cc \
        --text=text/wikitext2_valid.txt [--folder=runs/ablations3] [--jobs=2]

1. Pre-trained models beside fresh ones.
2. Gaps in images, texts and pairs beside gaps in the same pairs alone.
3. Experts for images and texts beside one feed-forward network for both.

Images and pairs are those of the built-in shapes world; its captions and lines of TEXT are the
texts. Every model is then fine-tuned to captions, open questions and retrieval of that world, to
easy-VQA, and to captions of the photos of COCO (a folder with Karpathy's dataset_coco.json and
images/), whose likelihood is measured. Pairs alone means as many steps with as many pairs, so
less work. Seeds are fixed in ablations.py; each job is a `train.py` of its own on one core. Prints
mean and spread of every measure, also where the direction is another than the paper's, and writes
them to FOLDER/results.json. What is done is not done again.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ablations import ROOT, SEEDS, Jobs, Study

RECIPE = "configs/beit3/shapes.py"
STEPS = {"teacher": 400, "tokenizer": 200, "pretraining": 500}
STEPS |= {"captions": 700, "questions": 500, "retrieval": 250, "easy_vqa": 250, "photos": 100}
PAIRS = (
    *("loss.image_codes=0.0", "groups.image.size=0"),
    *("loss.text_words=0.0", "groups.text.size=0"),
)
ONE = ("model.encoder.experts=('tokens',)", "model.encoder.apart=False")
WAYS = {  # name -> (whether it is pre-trained, settings of its pre-training, of its model)
    "three kinds": (True, (), ()),
    "pairs alone": (True, PAIRS, ()),
    "from nothing": (False, (), ()),
    "one network": (True, (), ONE),
}
STUDY = Study(
    ways=tuple(WAYS),
    measures={
        "captions": ("captioning/cider_d", "likelihood/log_likelihood"),
        "questions": ("vqa/accuracy",),
        "retrieval": ("retrieval/image_to_text_r5", "retrieval/text_to_image_r5"),
        "easy_vqa": ("vqa/accuracy",),
        "photos": ("likelihood/log_likelihood",),
    },
    questions=(
        ("pre-training", "three kinds", "from nothing"),
        ("three kinds of data", "three kinds", "pairs alone"),
        ("experts", "three kinds", "one network"),
    ),
)
# fine-tuning -> (stage of the recipe, its settings; the path of its data is the flag of its name)
TASKS = {
    "captions": ("captions", ("evaluate.names=('captioning', 'likelihood')",)),
    "questions": ("questions", ("evaluate.examples=1024",)),
    "retrieval": ("retrieval", ("evaluate.examples=1024",)),
    "easy_vqa": (
        "questions",
        ("data.source=jsonl", "data.about=captions", "model.answers=13", "evaluate.examples=0"),
    ),
    "photos": (
        "captions",
        (
            "data.source=karpathy", "data.caption=random", "data.resize_mode=squash",
            "evaluate.names=('likelihood',)", "evaluate.examples=0",
        ),
    ),
}  # fmt: skip


def pretrain(jobs: Jobs, seed: int, way: str, given: tuple[str, ...]) -> Path:
    """The pre-training of one way and seed."""
    _, settings, model = WAYS[way]
    often = f"steps={STEPS['pretraining']}", f"evaluate.every={STEPS['pretraining']}"
    return jobs.run(
        f"{seed}/{way}/pretraining",
        "pretraining",
        f"seed={seed}",
        *often,
        *given,
        *settings,
        *model,
    )


def follow(jobs: Jobs, seed: int, way: str, vocabulary: Path, given, data: dict) -> None:
    """A way's pre-training, if it has one, and the fine-tunings of what it taught."""
    start = pretrain(jobs, seed, way, given) if WAYS[way][0] else ""
    for task, (stage, settings) in TASKS.items():
        common = f"seed={seed}", f"tokenizer.path={vocabulary}", f"init_from={start}"
        often = f"steps={STEPS[task]}", f"evaluate.every={STEPS[task]}"
        path = (f"data.path={data[task]}",) if task in data else ()
        jobs.run(f"{seed}/{way}/{task}", stage, *common, *often, *path, *settings, *WAYS[way][2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--easy_vqa", required=True, help="train.jsonl with val.jsonl beside it")
    parser.add_argument("--coco", required=True, help="a folder with dataset_coco.json and images")
    parser.add_argument("--text", required=True, help="a file of texts, one a line")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "ablations3")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    data = {"easy_vqa": Path(options.easy_vqa).resolve().parent}
    data["photos"] = Path(options.coco).resolve()
    folder = options.folder.resolve()
    jobs = Jobs(RECIPE, folder, options.jobs)
    teacher = jobs.run("teacher", "teacher", f"steps={STEPS['teacher']}")
    steps = f"steps={STEPS['tokenizer']}"
    tokenizer = jobs.run("tokenizer", "tokenizer", steps, f"loss.teacher={teacher}")
    vocabulary = teacher / "tokenizer"
    words = {"source": "text", "path": str(Path(options.text).resolve()), "evaluate": False}
    given = (
        f"loss.tokenizer={tokenizer}",
        f"tokenizer.path={vocabulary}",
        f"groups.text.data.mixture={({'source': 'shapes'}, words)}",
    )
    with ThreadPoolExecutor(options.jobs) as pool:
        work = [(seed, way) for seed in SEEDS for way in WAYS]
        list(pool.map(lambda w: follow(jobs, *w, vocabulary, given, data), work))
    STUDY.finish(folder)


if __name__ == "__main__":
    main()
