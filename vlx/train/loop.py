"""The loop: steps, logging, evaluation, checkpoints, in this order.

The order is part of what is promised. A checkpoint of step s is written after everything that step
s logs, so that a run that resumes from it drops later lines and writes them again, just the same.
"""

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from vlx.data import Together, train_batches
from vlx.errors import DONE, INTERRUPTED, UserError
from vlx.parallel.start import any_process
from vlx.tasks import apart
from vlx.train import flops
from vlx.train.checkpoint import Checkpoints
from vlx.train.log import Logger
from vlx.train.setup import Setup
from vlx.train.state import TrainState, averaged_params, model_params

Evaluator = Callable[[object, int], Mapping[str, float]]  # (params, step) -> metrics


class Signals:
    """Remembers a request to stop, so that the step in progress can finish."""

    NOTE = b"Stopping after the step in progress and a checkpoint; a second signal does not wait.\n"

    def __init__(self):
        self.received = False
        self._previous = {}

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def _note(self, number, frame):
        if self.received:  # a second request does not wait
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.received = True
        os.write(2, self.NOTE)  # print could be interrupted within a print

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)


@dataclass
class Throughput:
    """Time and examples since the last report."""

    batch_size: int
    step_flops: int
    peak: float | None  # FLOP/s of all devices
    started: float = 0.0
    waited: float = 0.0
    steps: int = 0

    def restart(self) -> None:
        self.started, self.waited, self.steps = time.perf_counter(), 0.0, 0

    def report(self) -> dict[str, float]:
        """Means over the steps since `restart`, which it calls."""
        seconds = (time.perf_counter() - self.started) / max(1, self.steps)
        metrics = {
            "step_time": seconds,
            "images_per_second": self.batch_size / seconds,
            "input_wait": self.waited / max(1, self.steps),
        }
        if self.peak:
            metrics["mfu"] = self.step_flops / seconds / self.peak
        self.restart()
        return metrics


def train(
    setup: Setup,
    evaluators: Mapping[str, Evaluator],
    logger: Logger,
    initialise: Callable[[object], object] | None = None,
) -> int:
    """Trains to the last step, or to a signal; returns the exit code.

    evaluators: name -> function of the parameters and the step. initialise: new parameters from
    fresh ones, called only where there is no checkpoint.
    """
    c, checkpoints = setup.config, Checkpoints(setup.workdir, setup.config.checkpoint)
    try:
        state, position = _start(setup, checkpoints, logger, initialise)
        first = int(state.step)
        logger.start(first)
        if first >= c.steps:
            logger.say(f"{setup.workdir} has finished all of its {c.steps} steps.")
            return DONE
        setup.check_tokenizer()
        with (
            jax.set_mesh(setup.mesh),
            Signals() as signals,
            _batches(setup, position) as batches,
        ):
            return _steps(setup, evaluators, logger, checkpoints, state, batches, signals)
    finally:
        checkpoints.close()
        logger.close()


def _batches(setup: Setup, position: int):
    """Training batches from an example of the run on; of all groups at once where there are any."""
    c = setup.config
    if setup.parts:
        steps = position // c.batch.size
        return Together(
            {
                name: _batches(part, steps * part.config.batch.size)
                for name, part in setup.parts.items()
            }
        )
    hosts = {"host": jax.process_index(), "hosts": jax.process_count()}
    source, transform = setup.train_source, setup.transforms[0]
    return train_batches(source, transform, c.batch.size, c.seed, c.data, position, **hosts)


def _start(setup: Setup, checkpoints: Checkpoints, logger: Logger, initialise):
    """The state and the data position to go on from."""
    latest = checkpoints.latest
    if latest is not None:
        state, position = checkpoints.restore(latest, setup.program.abstract_state)
        logger.say(f"Resuming {setup.workdir} after step {latest}.")
        return state, position
    state = setup.new_state()
    if initialise is not None:
        params, buffers = apart(initialise(model_params(state)), state.buffers)
        # Copies, for a step gives up the memory of both.
        trained, _ = setup.program.partition.split(params)
        ema = jax.tree.map(jnp.copy, trained) if state.ema else {}
        state = state.replace(params=params, buffers=buffers, ema=ema)
    return state, 0


def _steps(setup, evaluators, logger, checkpoints, state, batches, signals) -> int:
    c, evaluated = setup.config, {}
    meter, previous, profiler = None, None, _Profiler(setup)
    for step in range(int(state.step), c.steps):
        asked = time.perf_counter()
        batch = setup.place(next(batches))
        wait = time.perf_counter() - asked
        if meter is None:
            if c.batch.micro_batches > 1:
                logger.say(setup.accumulation(batch))
            meter = _meter(setup, batch)
        profiler.before(step)
        rest = setup.rate(step), setup.step_key, setup.constants
        state, metrics = setup.program.step(state, batch, *rest)
        meter.steps, meter.waited = meter.steps + 1, meter.waited + wait
        done = step + 1
        profiler.after(step, metrics)
        logger.advance(done)
        # The step before has ended by now, so this read does not hold the device up.
        if previous is not None:
            _check_skipped(setup, checkpoints, state, batches.position, previous, done)
        previous = metrics

        logs = done % c.log.every == 0 or done == c.steps
        if logs:
            values = {name: float(value) for name, value in jax.device_get(metrics).items()}
            del values["skipped_in_a_row"]
            values["learning_rate"] = float(setup.rate(step))
            if c.data.on_error == "skip":
                values["skipped_records"] = batches.skipped
            logger.metrics(done, values | meter.report())
        if _is_due(done, c.evaluate.every, c.steps):
            evaluated = _evaluate(setup, evaluators, state, done)
            if evaluated:
                logger.metrics(done, evaluated)
            meter.restart()
        stop = _must_stop(signals, logs)
        if _is_due(done, c.checkpoint.every, c.steps) or stop:
            checkpoints.save(done, state, batches.position, evaluated)
            meter.restart()
        evaluated = {}
        if stop and done < c.steps:
            logger.say(f"Stopped by a signal after step {done}; the same command resumes.")
            return INTERRUPTED
    logger.say(f"Finished {c.steps} steps. Checkpoints, metrics and config are in {setup.workdir}.")
    return DONE


def _must_stop(signals: Signals, logs: bool) -> bool:
    """Whether to stop after this step, on all hosts alike.

    Several hosts ask each other only where they wait for the device anyway.
    """
    if jax.process_count() == 1:
        return signals.received
    return logs and any_process(signals.received)


def _is_due(done: int, every: int, steps: int) -> bool:
    return done == steps or (every > 0 and done % every == 0)


def _meter(setup: Setup, batch) -> Throughput:
    peak = flops.peak_flops(setup.mesh.devices.flat[0])
    step_flops = setup.flops(batch) if peak else 0
    total = peak * setup.mesh.size if peak else None
    meter = Throughput(setup.config.batch.size, step_flops, total)
    meter.restart()
    return meter


def _check_skipped(setup, checkpoints, state, position, previous, done) -> None:
    """Ends a run whose gradients have not been finite for long; its state is the last good one."""
    in_a_row, most = int(previous["skipped_in_a_row"]), setup.config.max_skipped
    if in_a_row <= most:
        return
    checkpoints.save(done, state, position, {})
    checkpoints.wait()
    raise UserError(
        f"The gradient was not finite for {in_a_row} steps in a row (max_skipped={most}). The "
        f"parameters before them are saved as step {done} of {setup.workdir}. Look at the data, or "
        "start another --workdir with a lower optimizer.lr or with optimizer.clip."
    )


def _evaluate(setup: Setup, evaluators, state: TrainState, done: int) -> dict[str, float]:
    """All metrics of all evaluators, `name/metric`."""
    params = model_params(state)
    if setup.config.evaluate.ema:
        params = averaged_params(state, setup.program.partition)
    return {
        f"{name}/{metric}": float(value)
        for name, evaluator in evaluators.items()
        for metric, value in evaluator(params, done).items()
    }


class _Profiler:
    """Captures the steps that config.profile names, into the run folder."""

    def __init__(self, setup: Setup):
        c = setup.config.profile
        self._first, self._last = c.start, c.start + c.steps - 1
        self._folder, self._on = str(setup.workdir / "profile"), False

    def before(self, step: int) -> None:
        if self._first <= step <= self._last and not self._on:
            jax.profiler.start_trace(self._folder)
            self._on = True

    def after(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        if self._on and step >= self._last:
            jax.block_until_ready(metrics)
            jax.profiler.stop_trace()
            self._on = False
