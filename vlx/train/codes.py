"""Codes that were made beforehand, for training: whether they fit the run."""

from collections.abc import Mapping
from math import prod

from vlx.data import DataConfig
from vlx.data.codes import Codes, settings
from vlx.errors import UserError
from vlx.tasks import Constant, Task

TOKENIZER = "tokenizer"  # among the constants of tasks that predict its codes


def find_codes(config: DataConfig, task: Task, constants: Mapping[str, Constant]) -> Codes | None:
    """What `data.codes` names, if anything. Raises UserError unless it is what the task predicts.

    constants: of the run; if they are not read yet, the tokenizer is not compared.
    """
    if not config.codes:
        return None
    check_predicts_codes(task, f"data.codes={config.codes!r}")
    codes = Codes(config.codes)
    now = settings(config, task.image_size) | {"patches": prod(task.grid)}
    if TOKENIZER in constants:
        now["tokenizer"] = constants[TOKENIZER].digest
    codes.check(now)
    return codes


def check_predicts_codes(task: Task, what: str) -> None:
    """Refuses a task without a visual tokenizer."""
    if TOKENIZER not in task.constants:
        raise UserError(
            f"{what} is for tasks, or groups of a batch, that predict codes of a visual tokenizer; "
            "this one predicts none."
        )
