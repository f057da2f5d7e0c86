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
SEEDS; each job is a `train.py` of its own on one core. Prints mean and spread of every measure,
also where the direction is another than the paper's, and writes them to FOLDER/results.json. What
is done is not done again.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
RECIPE = "configs/vlmo/shapes.py"
SEEDS = (0, 1, 2)  # fixed before the first run
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
MEASURES = {
    "pairs": ("retrieval/image_to_text_r5", "retrieval/text_to_image_r5", "losses/words"),
    "shapes": ("vqa/accuracy",),
    "easy_vqa": ("vqa/accuracy",),
    "nlvr": ("statements/accuracy",),
}
COMPARED = (
    ("stage by stage", "stages, global negatives", "experts from nothing"),
    ("experts", "experts from nothing", "standard from nothing"),
    ("global negatives", "stages, global negatives", "stages, local negatives"),
)


class Jobs:
    """Runs of train.py, each on a core of its own."""

    def __init__(self, folder: Path, count: int):
        self.folder, self.cores = folder, Queue()
        for core in range(count):
            self.cores.put(core)

    def run(self, name: str, stage: str, *settings: str) -> Path:
        """The folder of a finished run."""
        workdir = self.folder / name
        log = workdir.with_suffix(".log")
        command = [sys.executable, "train.py", f"--config={RECIPE}:{stage}"]
        command += [f"--workdir={workdir}", *[f"--config.{x}" for x in settings]]
        workdir.parent.mkdir(parents=True, exist_ok=True)
        core = self.cores.get()
        try:
            with log.open("w") as out:
                done = subprocess.run(
                    ["taskset", "-c", str(core), *command],
                    cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=ENVIRONMENT, check=False,
                )  # fmt: skip
        finally:
            self.cores.put(core)
        if done.returncode:
            raise SystemExit(f"{name} failed; see {log}")
        return workdir


ENVIRONMENT = (
    {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    | os.environ
    | {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
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


def measured(folder: Path) -> dict[str, float]:
    """The last evaluation of a run."""
    found = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        found |= json.loads(line)
    return found


def collect(folder: Path) -> dict:
    """measure -> arm -> a value for each seed."""
    results = {}
    for task, names in MEASURES.items():
        for arm in ARMS:
            runs = [folder / str(seed) / arm / task for seed in SEEDS]
            if not all(run.is_dir() for run in runs):
                continue
            for name in names:
                values = [measured(run)[name] for run in runs]
                results.setdefault(f"{task}: {name}", {})[arm] = values
    return results


def show(results: dict) -> None:
    table = Table("measure", *ARMS, title="mean ± standard deviation over seeds")
    for measure, arms in results.items():
        cells = [arms.get(arm) for arm in ARMS]
        told = [f"{np.mean(x):.3f} ± {np.std(x, ddof=1):.3f}" if x else "" for x in cells]
        table.add_row(measure, *told)
    console = Console(highlight=False, width=140)
    console.print(table)
    differences = Table(
        "question", "measure", "difference", "seeds that agree", title="differences"
    )
    for question, better, worse in COMPARED:
        for measure, arms in results.items():
            if better in arms and worse in arms:
                gain = np.subtract(arms[better], arms[worse])
                gain = -gain if "losses/" in measure else gain
                told = f"{gain.mean():+.3f} ± {gain.std(ddof=1):.3f}"
                differences.add_row(question, measure, told, f"{np.sum(gain > 0)} of {len(gain)}")
    console.print(differences)


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
    jobs = Jobs(folder, options.jobs)
    codes = jobs.run("codes", "codes", f"steps={STEPS['codes']}")
    with ThreadPoolExecutor(options.jobs) as pool:
        texts = list(pool.map(lambda seed: prepare(jobs, seed, codes), SEEDS))
        vocabulary = texts[0] / "tokenizer"
        work = [(seed, arm, texts[n]) for n, seed in enumerate(SEEDS) for arm in ARMS]
        list(pool.map(lambda w: follow(jobs, w[0], w[1], w[2], vocabulary, data), work))
    results = collect(folder)
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    show(results)


if __name__ == "__main__":
    main()
