"""Checkpoints: the training state and the data position, written aside and renamed when whole."""

import errno
import re
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy as policies

from vlx.errors import UserError
from vlx.train.config import CheckpointConfig

FOLDER = "checkpoints"


class Checkpoints:
    """The checkpoints of a run folder, by step; saving goes on while training does."""

    def __init__(self, workdir: Path, config: CheckpointConfig, read_only: bool = False):
        self._folder = Path(workdir).absolute() / FOLDER
        keep = [policies.LatestN(config.keep)]
        if config.keep_every:
            keep.append(policies.EveryNSteps(config.keep_every))
        if config.best:
            # orbax keeps the highest n, `reverse` the lowest; a save without the metric is no best
            keep.append(
                policies.BestN(
                    get_metric_fn=lambda metrics: metrics[config.best],
                    reverse=config.best_mode == "min",
                    n=1,
                    keep_checkpoints_without_metrics=False,
                )
            )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(keep),
            cleanup_tmp_directories=not read_only,
            create=not read_only,
            read_only=read_only,
        )
        self._best = config.best
        try:
            self._manager = ocp.CheckpointManager(self._folder, options=options)
        except OSError as error:
            raise _disk_error(self._folder, error) from error

    @property
    def latest(self) -> int | None:
        """The newest step that was saved whole."""
        return self._manager.latest_step()

    @property
    def steps(self) -> list[int]:
        return sorted(self._manager.all_steps())

    def find(self, step: int | None) -> int:
        """The given step, or the latest. Raises UserError with the steps that there are."""
        steps = self.steps
        if not steps:
            raise UserError(f"{self._folder} holds no checkpoint yet.")
        if step is not None and step not in steps:
            raise UserError(f"{self._folder} has no step {step}; there are {steps}.")
        return steps[-1] if step is None else step

    def save(self, step: int, state: Any, position: int, metrics: dict[str, float]) -> None:
        """Starts writing; waits only for the save before it. Saving a step again does nothing."""
        if step in self._manager.all_steps():
            return
        if self._best and self._best not in metrics:
            metrics = {}
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state),
                    data=ocp.args.JsonSave({"example": position}),
                ),
                metrics=metrics or None,
            )
        except OSError as error:
            raise _disk_error(self._folder, error) from error

    def restore(self, step: int, like: Any) -> tuple[Any, int]:
        """The state and the data position of `step`; `like` gives shapes, dtypes and shardings.

        Raises UserError that lists the arrays if the checkpoint is of another architecture.
        """
        self._check(step, like)
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(like), data=ocp.args.JsonRestore()
            ),
        )
        return restored["state"], restored["data"]["example"]

    def _check(self, step: int, like: Any) -> None:
        path = self._folder / str(step) / "state"
        with ocp.StandardCheckpointer() as reader:
            saved = reader.metadata(path).item_metadata
        saved = {_name(k): tuple(x.shape) for k, x in jax.tree_util.tree_leaves_with_path(saved)}
        wanted = {_name(k): tuple(x.shape) for k, x in jax.tree_util.tree_leaves_with_path(like)}
        differing = [
            f"{name}: checkpoint {saved.get(name, 'none')}, config {wanted.get(name, 'none')}"
            for name in sorted(saved.keys() | wanted.keys())
            if saved.get(name) != wanted.get(name)
        ]
        if differing:
            more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
            raise UserError(
                f"The checkpoint {path.parent} is of another model or optimizer. Give another "
                f"--workdir, or the config it was made with. {'; '.join(differing[:5])}{more}."
            )

    def wait(self) -> None:
        """Returns when everything is on disk."""
        try:
            self._manager.wait_until_finished()
        except OSError as error:
            raise _disk_error(self._folder, error) from error

    def close(self) -> None:
        self.wait()
        self._manager.close()


def _name(keys) -> str:
    words = [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in keys]
    return re.sub(r"^params/", "", "/".join(words))


def _disk_error(folder: Path, error: OSError) -> Exception:
    """What a user can mend about a disk; other errors stay what they are."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"{folder}: the disk is full. Free some space, then run the same command.")
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
        return UserError(f"{folder} cannot be written: {error.strerror}. Give another --workdir.")
    return error
