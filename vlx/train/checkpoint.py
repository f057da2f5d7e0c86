"""Checkpoints: the training state and the data position, written aside and renamed when whole."""

import errno
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy as policies

from vlx.config import differing_shapes, nearest
from vlx.errors import UserError
from vlx.train.config import CheckpointConfig

FOLDER = "checkpoints"
PIECE = 2**20  # bytes that a device writes at least, of an array that all of them hold


def has_checkpoint(workdir: Path) -> bool:
    """Whether a run has saved anything yet; a cheap look at its folder."""
    return any((workdir / FOLDER).glob("[0-9]*"))


class Checkpoints:
    """The checkpoints of a run folder, by step; saving goes on while training does."""

    def __init__(self, workdir: Path, config: CheckpointConfig, read_only: bool = False):
        self._folder, self._config = Path(workdir).absolute() / FOLDER, config
        keep = [policies.LatestN(config.keep)]
        if config.keep_every:
            keep.append(policies.EveryNSteps(config.keep_every))
        if config.best:
            # a save without the metric is no best
            keep.append(
                policies.BestN(
                    get_metric_fn=self._goodness, n=1, keep_checkpoints_without_metrics=False
                )
            )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(keep),
            # Without a best_fn orbax does not store metrics, and a resumed run forgets its best.
            best_fn=self._goodness if config.best else None,
            cleanup_tmp_directories=not read_only,
            create=not read_only,
            read_only=read_only,
        )
        try:
            self._manager = ocp.CheckpointManager(
                self._folder,
                options=options,
                item_handlers={"state": _arrays(), "data": ocp.JsonCheckpointHandler()},
            )
        except OSError as error:
            raise _disk_error(self._folder, error) from error

    def _goodness(self, metrics: Mapping[str, float]) -> float:
        """The metric that `best` names, higher for better; NaN is worst, as is none."""
        value = metrics.get(self._config.best, math.nan)
        if math.isnan(value):
            return -math.inf
        return value if self._config.best_mode == "max" else -value

    @property
    def latest(self) -> int | None:
        """The newest step that was saved whole."""
        return self._manager.latest_step()

    @property
    def steps(self) -> list[int]:
        return sorted(self._manager.all_steps())

    def find(self, step: int | str = "latest") -> int:
        """A step, the latest, or the "best". Raises UserError with the steps that there are."""
        steps = self.steps
        if not steps:
            raise UserError(f"{self._folder} holds no checkpoint yet.")
        if step == "best":
            best = self._manager.best_step() if self._config.best else None
            if best is None:
                raise UserError(
                    f"{self._folder} knows no best step: checkpoint.best={self._config.best!r} "
                    f"names no metric that was measured; there are {steps}."
                )
            return best
        if step != "latest" and step not in steps:
            raise UserError(f"{self._folder} has no step {step}; there are {steps}.")
        return steps[-1] if step == "latest" else step

    def save(self, step: int, state: Any, position: int, metrics: dict[str, float]) -> None:
        """Starts writing; waits only for the save before it. Saving a step again does nothing.

        Raises UserError, when all is saved, if the metrics lack the one that `best` names.
        """
        if step in self._manager.all_steps():
            return
        best = self._config.best
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.PyTreeSave(state),
                    data=ocp.args.JsonSave({"example": position}),
                ),
                metrics=metrics if best in metrics else None,
            )
        except (OSError, ValueError) as error:
            raise _disk_error(self._folder, error) from error
        if best and metrics and best not in metrics:
            raise UserError(f"checkpoint.best={best!r} is no metric; {nearest(best, metrics)}")

    def restore(self, step: int, like: Any) -> tuple[Any, int]:
        """The state and the data position of `step`; `like` gives shapes, dtypes and shardings.

        Raises UserError that lists the arrays if the checkpoint is of another architecture.
        """
        self._check(step, like)
        places = ocp.checkpoint_utils.construct_restore_args(like)
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeRestore(like, restore_args=places),
                data=ocp.args.JsonRestore(),
            ),
        )
        return restored["state"], restored["data"]["example"]

    def _check(self, step: int, like: Any) -> None:
        path = self._folder / str(step) / "state"
        with ocp.StandardCheckpointer() as reader:
            saved = reader.metadata(path).item_metadata
        saved = {_name(k): tuple(x.shape) for k, x in jax.tree_util.tree_leaves_with_path(saved)}
        wanted = {_name(k): tuple(x.shape) for k, x in jax.tree_util.tree_leaves_with_path(like)}
        differing = differing_shapes(saved, wanted, "checkpoint")
        if differing:
            raise UserError(
                f"The checkpoint {path.parent} is of another model or optimizer. Give another "
                f"--workdir, or the config it was made with. {differing}."
            )

    def wait(self) -> None:
        """Returns when everything is on disk."""
        try:
            self._manager.wait_until_finished()
        except (OSError, ValueError) as error:
            raise _disk_error(self._folder, error) from error

    def close(self) -> None:
        self.wait()
        self._manager.close()


def _arrays() -> ocp.PyTreeCheckpointHandler:
    """Writes what every device holds in pieces, a piece a device, where the pieces are large.

    Orbax would cut small arrays as well, which costs a compiled program for each of their shapes.
    """
    kinds = ocp.type_handlers
    large = kinds.ArrayHandler(min_slice_bytes_for_replica_parallel=PIECE)
    registry = kinds.create_type_handler_registry((jax.Array, large))
    return ocp.PyTreeCheckpointHandler(type_handler_registry=registry)


def _name(keys) -> str:
    words = [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in keys]
    return re.sub(r"^params/", "", "/".join(words))


def _disk_error(folder: Path, error: OSError | ValueError) -> Exception:
    """What a user can mend about a disk; other errors stay what they are.

    tensorstore, which writes the arrays, raises ValueError with the number in its message.
    """
    told = re.search(r"os_error_code='(\d+)'", str(error))
    number = int(told[1]) if told else getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"{folder}: the disk is full. Free some space, then run the same command.")
    if number in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
        return UserError(
            f"{folder} cannot be written: {os.strerror(number)}. Give another --workdir."
        )
    return error
