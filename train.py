"""Trains what a recipe describes; the same command resumes an interrupted run.

    python train.py --config=configs/coca/shapes.py --workdir=runs/a [--config.optimizer.lr=1e-3]

Exit codes: 0 done, 75 stopped by a signal and saved, 2 a mistake that you can mend, 1 a defect.
"""

from pathlib import Path

from absl import flags

from vlx import cli

flags.DEFINE_string("workdir", None, "Folder of the run; made if missing.")
flags.DEFINE_bool("dry_run", False, "Print parameters, memory and FLOPs, and train nothing.")
cli.define_common()
FLAGS = flags.FLAGS


def main(argv: list[str]) -> int:
    import jax

    from vlx.constants import with_constants
    from vlx.errors import UserError
    from vlx.evaluate import build_evaluators
    from vlx.initialise import initialiser
    from vlx.parallel.start import start
    from vlx.train.log import Logger
    from vlx.train.loop import train
    from vlx.train.setup import Setup, count_steps, resolved
    from vlx.train.summary import summarise

    config = cli.read_config()
    start(config.deterministic)
    config = count_steps(resolved(config), Path(FLAGS.workdir or "."))
    if FLAGS.dry_run:
        summarise(with_constants(Setup(config, Path(FLAGS.workdir or "."))))
        return 0
    if not FLAGS.workdir:
        raise UserError("Give a folder for the run: --workdir=runs/a.")
    setup = Setup(config, Path(FLAGS.workdir))
    setup.check()
    cli.prepare_folder(setup.workdir, config)
    setup = with_constants(setup)
    logger = Logger(setup.workdir, config.log, config.steps, quiet=jax.process_index() > 0)
    initialise = initialiser(setup)
    return train(setup, build_evaluators(setup), logger, initialise)


if __name__ == "__main__":
    cli.main(main)
