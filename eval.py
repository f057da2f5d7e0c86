"""Measures a run, whose folder says all that is needed, or any model on a recipe's data.

    python eval.py --workdir=runs/a [--step=1000] [--split=val] [--names=retrieval,zero_shot]
        [--templates=openai_imagenet] [--class_names=classnames.txt]
        [--config.data.path=other/captions.jsonl] [--save_as=other]
        [--config.evaluate.decode.method=beam]
    python eval.py --model=FOLDER --config=configs/coca/captions.py --workdir=results

Any setting of the run's config can be changed, as for train.py. Prints a table, writes it to
RUN/evaluations/, and shows everything in RUN/report.html.
"""

from dataclasses import replace
from pathlib import Path

from absl import flags

from vlx import cli

flags.DEFINE_string("workdir", None, "Folder of the run; with --model, of the results.")
flags.DEFINE_string("model", "", "A trained model in place of the run's: any folder or file.")
flags.DEFINE_string("step", "latest", "Of a run: a number, latest, or best (checkpoint.best).")
flags.DEFINE_string("split", "", "Split of the data; the run's data.eval_split by default.")
flags.DEFINE_string("save_as", "", "What results are kept as; the split, with what data differ by.")
flags.DEFINE_list("names", [], "Evaluators; those of the run's config by default.")
flags.DEFINE_list("templates", [], "Prompts of zero_shot: names of lists, or text files.")
flags.DEFINE_string("class_names", "", "Class names of zero_shot: a list's name or a text file.")
flags.DEFINE_bool("ema", True, "Take averaged parameters where there are any.")
cli.define_common()
FLAGS = flags.FLAGS


def main(argv: list[str]) -> int:
    import jax

    from vlx.evaluate import build_evaluators
    from vlx.evaluate.captioning import captions_file
    from vlx.evaluate.names import check_name, name_of
    from vlx.evaluate.results import show, show_captions, write
    from vlx.parallel.start import start
    from vlx.report import write_report

    if not FLAGS.model and FLAGS.workdir:
        cli.read_run(Path(FLAGS.workdir))  # says what is missing
    config = _config()
    settings = _settings(config)
    start(config.deterministic)
    config = replace(config, mesh=_mesh(config.mesh))
    split, workdir = FLAGS.split or config.data.eval_split, Path(FLAGS.workdir)
    name = FLAGS.save_as or name_of(split, {} if FLAGS.model else settings)
    check_name(workdir, name, settings)
    setup, params, step = (_of_model if FLAGS.model else _of_run)(config)
    evaluators = build_evaluators(setup, FLAGS.names, FLAGS.split, name)
    of = None if FLAGS.model else step
    results = {each: evaluate(params, of) for each, evaluate in evaluators.items()}
    if jax.process_index() > 0:
        return 0
    path = write(workdir, step, split, results, name, settings)
    show(results, f"{FLAGS.model or workdir} at step {step}, {name}")
    if "captioning" in results:
        show_captions(captions_file(workdir, name))
    print(f"written to {path}")
    print(f"report: {write_report([workdir])}")
    return 0


def _config():
    """The run's config, or the recipe's for a model, with what the flags change."""
    from vlx.errors import UserError

    if not FLAGS.workdir:
        raise UserError("Give the folder of a run: --workdir=runs/a.")
    config = cli.read_config()
    given = {"templates": tuple(FLAGS.templates), "class_names": FLAGS.class_names}
    evaluate = replace(config.evaluate, **{name: x for name, x in given.items() if x})
    return replace(config, evaluate=evaluate)


def _settings(config):
    """What is measured, as far as the run does not say it."""
    from vlx.evaluate.names import data_settings, other_settings

    workdir = Path(FLAGS.workdir)
    if FLAGS.model:
        return {"model": FLAGS.model, **data_settings(config)}
    return other_settings(cli.read_run(workdir), config)


def _of_run(config):
    """The run in --workdir, its parameters, and the step that they are of."""
    from vlx.constants import with_constants
    from vlx.train.checkpoint import Checkpoints
    from vlx.train.setup import Setup
    from vlx.train.state import averaged_params, model_params

    setup = with_constants(Setup(config, Path(FLAGS.workdir)))
    checkpoints = Checkpoints(setup.workdir, config.checkpoint, read_only=True)
    step = checkpoints.find(_step(FLAGS.step))
    state, _ = checkpoints.restore(step, setup.program.abstract_state)
    params = averaged_params(state, setup.program.partition) if FLAGS.ema else model_params(state)
    return setup, params, step


def _of_model(config):
    """The model at --model on the recipe's data; it has no steps."""
    from vlx import weights
    from vlx.errors import UserError
    from vlx.subject import model_setup

    if FLAGS["step"].present:
        raise UserError(f"--step={FLAGS.step} is for runs; --model={FLAGS.model} has no steps.")
    workdir = Path(FLAGS.workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    setup = model_setup(config, weights.read(Path(FLAGS.model)), workdir)
    return setup, setup.params, 0


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
