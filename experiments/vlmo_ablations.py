r"""Do VLMo's ideas help? Three questions of the paper's tables 4 to 6, on small models.

    python experiments/vlmo_ablations.py --easy_vqa=easy_vqa/train.jsonl --nlvr=nlvr/train.jsonl \
        [--folder=runs/ablations] [--jobs=2]

1. Stage by stage: images, then texts, then pairs, beside pairs from nothing.
2. Experts beside a standard Transformer of the same active size, both from nothing.
3. Hard negatives from the whole batch of 32 beside those from an eighth of it, as eight devices
   with four examples each would draw them. (What a mesh draws does not depend on its devices, so
   one device shows the same.)

Pairs are those of the built-in shapes world; every model is then fine-tuned to its open questions
and to easy-VQA, and those of the first two comparisons to NLVR's statements. Seeds are fixed in
ablations.py; each job is a `train.py` of its own on one core. Prints mean and spread of every
measure, also where the direction is another than the paper's, and writes them to
FOLDER/results.json. What is done is not done again.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ablations import ROOT, SEEDS, Jobs, Study

RECIPE = "configs/vlmo/shapes.py"
STEPS = {"codes": 250, "images": 300, "texts": 500, "pairs": 600}
STEPS |= {"shapes": 400, "easy_vqa": 300, "nlvr": 100}  # of the fine-tunings
STANDARD = ("model.encoder.experts=('tokens',)", "model.encoder.pair_layers=0")
LOCAL = ("loss.negative_groups=8",)
ARMS = {  # name -> (begins with the stage before, settings of every stage after it)
    "stages, global negatives": (True, ()),
    "stages, local negatives": (True, LOCAL),
    "experts from nothing": (False, ()),
    "standard from nothing": (False, STANDARD),
}
STUDY = Study(
    ways=tuple(ARMS),
    measures={
        "pairs": ("retrieval/image_to_text_r5", "retrieval/text_to_image_r5", "losses/words"),
        "shapes": ("vqa/accuracy",),
        "easy_vqa": ("vqa/accuracy",),
        "nlvr": ("statements/accuracy",),
    },
    questions=(
        ("stage by stage", "stages, global negatives", "experts from nothing"),
        ("experts", "experts from nothing", "standard from nothing"),
        ("global negatives", "stages, global negatives", "stages, local negatives"),
    ),
)


def prepare(jobs: Jobs, seed: int, codes: Path) -> Path:
    """The first two stages of a seed."""
    common = f"seed={seed}"
    images = jobs.run(
        f"{seed}/images", "images", common, f"steps={STEPS['images']}", f"loss.tokenizer={codes}"
    )
    steps = f"steps={STEPS['texts']}"
    return jobs.run(f"{seed}/texts", "texts", common, steps, f"init_from={images}")


def follow(jobs: Jobs, seed: int, arm: str, texts: Path, vocabulary: Path, data: dict) -> None:
    """Pairs, and the fine-tunings of what they taught."""
    staged, settings = ARMS[arm]
    own = tuple(x for x in settings if x.startswith("model."))
    name, common = f"{seed}/{arm}", (f"seed={seed}", f"tokenizer.path={vocabulary}")
    start = f"init_from={texts if staged else ''}"
    last = f"evaluate.every={10 * STEPS['pairs']}"
    both = "evaluate.names=('retrieval', 'losses')"
    steps = f"steps={STEPS['pairs']}"
    given = (*common, start, steps, last, both, "evaluate.examples=1024")
    pairs = jobs.run(f"{name}/pairs", "pairs", *given, *settings)
    start = f"init_from={pairs}"
    for task, settings in DATA.items():
        if task == "nlvr" and arm == "stages, local negatives":
            continue
        given = (*common, start, f"steps={STEPS[task]}", last, *settings, *own)
        jobs.run(f"{name}/{task}", "questions", *given, f"data.path={data.get(task, '')}")


DATA = {
    "shapes": ("evaluate.examples=1024",),
    "easy_vqa": (
        "data.source=jsonl", "data.about=captions", "model.answers=13", "evaluate.examples=0",
    ),
    "nlvr": (
        "data.source=jsonl", "data.about=captions", "loss.answers=0.0", "loss.truth=1.0",
        "model.truth_images=1", "evaluate.examples=0", "data.resize_mode=squash",
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--easy_vqa", required=True, help="train.jsonl with val.jsonl beside it")
    parser.add_argument("--nlvr", required=True, help="train.jsonl with val.jsonl beside it")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "ablations")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    files = {"easy_vqa": options.easy_vqa, "nlvr": options.nlvr}
    data = {name: str(Path(path).resolve().parent) for name, path in files.items()}
    folder = options.folder.resolve()
    jobs = Jobs(RECIPE, folder, options.jobs)
    codes = jobs.run("codes", "codes", f"steps={STEPS['codes']}")
    with ThreadPoolExecutor(options.jobs) as pool:
        texts = list(pool.map(lambda seed: prepare(jobs, seed, codes), SEEDS))
        vocabulary = texts[0] / "tokenizer"
        work = [(seed, arm, texts[n]) for n, seed in enumerate(SEEDS) for arm in ARMS]
        list(pool.map(lambda w: follow(jobs, w[0], w[1], w[2], vocabulary, data), work))
    STUDY.finish(folder)


if __name__ == "__main__":
    main()
