"""Measures a run; its folder says all that is needed.

    python eval.py --workdir=runs/a [--step=1000] [--split=val] [--names=retrieval,zero_shot]
        [--templates=openai_imagenet] [--class_names=classnames.txt]
        [--config.data.path=other/captions.jsonl] [--config.evaluate.decode.method=beam]

Any setting of the run's config can be changed, as for train.py. Prints a table, writes it to RUN/evaluations/, and shows everything in RUN/report.html.
"""

from dataclasses import replace
from pathlib import Path

from absl import flags

from vlx import cli

flags.DEFINE_string("workdir", None, "Folder of the run.")
flags.DEFINE_string("step", "latest", "Checkpoint: a number, latest, or best (checkpoint.best).")
flags.DEFINE_string("split", "", "Split of the data; the run's data.eval_split by default.")
flags.DEFINE_list("names", [], "Evaluators; those of the run's config by default.")
flags.DEFINE_list("templates", [], "Prompts of zero_shot: names of lists, or text files.")
flags.DEFINE_string("class_names", "", "Class names of zero_shot: a list's name or a text file.")
flags.DEFINE_bool("ema", True, "Take averaged parameters where there are any.")
cli.define_common()
FLAGS = flags.FLAGS


def main(argv: list[str]) -> int:
    from vlx.errors import UserError
    from vlx.evaluate import build_evaluators
    from vlx.evaluate.captioning import captions_file
    from vlx.evaluate.results import show, show_captions, write
    from vlx.parallel.start import start
    from vlx.report import write_report
    from vlx.train.checkpoint import Checkpoints
    from vlx.train.setup import Setup
    from vlx.train.state import averaged_params

    if not FLAGS.workdir:
        raise UserError("Give the folder of a run: --workdir=runs/a.")
    workdir = Path(FLAGS.workdir)
    cli.read_run(workdir)  # says what is missing
    config = cli.read_config()
    start(config.deterministic)
    given = {"templates": tuple(FLAGS.templates), "class_names": FLAGS.class_names}
    evaluate = replace(config.evaluate, **{name: x for name, x in given.items() if x})
    setup = Setup(replace(config, mesh=_mesh(config.mesh), evaluate=evaluate), workdir)
    evaluators = build_evaluators(setup, FLAGS.names, FLAGS.split)
    checkpoints = Checkpoints(workdir, config.checkpoint, read_only=True)
    step = checkpoints.find(_step(FLAGS.step))
    state, _ = checkpoints.restore(step, setup.abstract_state)
    params = averaged_params(state, setup.partition) if FLAGS.ema else state.params
    results = {name: evaluate(params) for name, evaluate in evaluators.items()}
    split = FLAGS.split or config.data.eval_split
    path = write(workdir, step, split, results)
    show(results, f"{workdir} at step {step}, split {split}")
    if "captioning" in results:
        show_captions(captions_file(workdir, split))
    print(f"written to {path}")
    print(f"report: {write_report([workdir])}")
    return 0


def _step(word: str) -> int | str:
    from vlx.errors import UserError

    if word.isdecimal():
        return int(word)
    if word not in ("latest", "best"):
        raise UserError(f"--step={word}: give a number, latest, or best.")
    return word


def _mesh(wanted):
    """The run's mesh, or on a machine that it does not fit all devices side by side."""
    from vlx.errors import UserError
    from vlx.parallel.mesh import MeshConfig, make_mesh

    try:
        make_mesh(wanted)
    except UserError as error:
        print(f"{error} Evaluating with mesh.data=-1.")
        return MeshConfig()
    return wanted


if __name__ == "__main__":
    cli.main(main)
