"""What the commands share: flags, exit codes, and how mistakes are told."""

import json
import os
import platform
import runpy
import signal
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from vlx.config import build, flat, plain, to_dict
from vlx.errors import INTERRUPTED, USER_ERROR, UserError
from vlx.parallel.start import wait_for_all
from vlx.train.checkpoint import has_checkpoint
from vlx.train.config import RunConfig

FLAGS = flags.FLAGS
PACKAGES = ("vlx", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def define_common() -> None:
    """--debug, which shows the trace of a user's mistake too."""
    flags.DEFINE_bool("debug", False, "Show the full trace of an error.")


def read_config() -> RunConfig:
    """The config that the flags ask for, checked as a whole."""
    if "config" not in FLAGS:
        raise UserError(
            "Give a recipe, --config=configs/coca/shapes.py, or the --workdir of a run that has "
            "begun."
        )
    return build(RunConfig, plain(FLAGS.config))


def read_run(workdir: Path) -> RunConfig:
    """The config of a run folder."""
    path = workdir / "config.json"
    if not path.is_file():
        raise UserError(f"--workdir={workdir} holds no config.json: it is not the folder of a run.")
    return build(RunConfig, json.loads(path.read_text()), str(path))


def _define_config(argv: list[str]) -> list[str]:
    """Defines --config.any.key for the recipe that `--config=FILE` names; argv without that flag.

    `FILE:WORD` hands WORD to the recipe's get_config. Without a recipe it is the config of the run
    in `--workdir`, if there is one. Any setting can be overridden, also one that is left at its
    default: unknown ones are refused when the config is built.
    """
    rest, recipe = _take(argv, "config")
    workdir = _take(rest, "workdir")[1]
    config = None
    if recipe is not None:
        config = _load(recipe)
    elif workdir and (Path(workdir) / "config.json").is_file():
        config = ConfigDict(_with_tuples(json.loads((Path(workdir) / "config.json").read_text())))
    if config is not None:
        for word in rest:
            _add_parents(config, word)
        config_flags.DEFINE_config_dict(
            "config", config, lock_config=False, accept_new_attributes=True, sys_argv=rest
        )
    return rest


def _take(argv: list[str], flag: str) -> tuple[list[str], str | None]:
    """The words without `--flag=value` or `--flag value`, and the last such value."""
    rest, found = [], None
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name in (f"--{flag}", f"-{flag}"):
            found = value if equals else next(words, "")
        else:
            rest.append(word)
    return rest, found


def _with_tuples(value):
    """JSON values as recipes write them: flags override tuples, not lists."""
    if isinstance(value, dict):
        return {key: _with_tuples(x) for key, x in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _load(recipe: str) -> ConfigDict:
    path, _, word = recipe.partition(":")
    if not Path(path).is_file():
        raise UserError(f"--config={path}: there is no such file.")
    get_config = runpy.run_path(path).get("get_config")
    if get_config is None:
        raise UserError(f"--config={path}: a recipe defines get_config(), this file does not.")
    config = get_config(word) if word else get_config()
    config.unlock()
    return config


def _add_parents(config: ConfigDict, flag: str) -> None:
    """Makes the groups of `--config.group.key=value` that the recipe does not mention."""
    name = flag.partition("=")[0].lstrip("-")
    name = name.removeprefix("no") if name.startswith("noconfig.") else name
    if not name.startswith("config."):
        return
    for group in name.split(".")[1:-1]:
        if group not in config:
            config[group] = ConfigDict()
        config = config[group]
        if not isinstance(config, ConfigDict):
            raise UserError(f"{flag}: {group} is a value, not a group.")


def main(function: Callable[[list[str]], int | None]) -> None:
    """Runs a command; a user's mistake ends it with one message and code 2."""

    def guarded(argv: list[str]) -> None:
        if not FLAGS["verbosity"].present:  # what libraries log as an error they also raise
            logging.set_verbosity(logging.FATAL)
        for number in (signal.SIGTERM, signal.SIGINT):  # the latter is ignored in shell jobs
            signal.signal(number, signal.default_int_handler)
        try:
            sys.exit(function(argv) or 0)
        except UserError as error:
            if FLAGS.debug:
                raise
            _tell(str(error))
            sys.exit(USER_ERROR)
        except KeyboardInterrupt:  # training, once begun, handles signals by itself
            _tell("stopped by a signal.")
            sys.exit(INTERRUPTED)

    app.run(guarded, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    try:
        return FLAGS(_define_config(argv))
    except (UserError, flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        if "--debug" in argv:
            raise
        _tell(str(error).strip("'\""))
        sys.exit(USER_ERROR)


def _tell(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)


def prepare_folder(workdir: Path, config: RunConfig) -> None:
    """Makes a run folder with config.json and environment.json, or checks the one there is.

    Raises UserError if it cannot be written, or belongs to a run with another config.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        _check_config(workdir / "config.json", config)
        wait_for_all("config checked")
        if jax.process_index() == 0:
            _write_json(workdir / "config.json", to_dict(config))
            _write_json(workdir / "environment.json", environment())
    except OSError as error:
        raise UserError(f"--workdir={workdir} cannot be written: {error.strerror}.") from error


# What may change between a run and its continuation, without changing what is learned.
FREE = ("data.workers", "data.threads", "data.prefetch", "log", "checkpoint", "profile", "evaluate",
        "mesh", "model.compute.scan", "model.compute.remat", "deterministic", "batch.micro_batches",
        "data.path", "data.image_folder", "optimizer.offload")  # fmt: skip
# What has left its traces in a run folder before the first checkpoint: the vocabulary.
EARLY = ("data", "tokenizer")


def _check_config(path: Path, config: RunConfig) -> None:
    if not path.exists():
        return
    # Settings that vlx has learned since the run began had their defaults then.
    old, new = flat(to_dict(read_run(path.parent))), flat(to_dict(config))
    saved = has_checkpoint(path.parent)
    changed = [
        f"{key}: {old.get(key)} -> {new.get(key)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and not _below(key, FREE) and (saved or _below(key, EARLY))
    ]
    if changed:
        raise UserError(
            f"{path.parent} holds a run with another config ({'; '.join(changed[:5])}). Give "
            "another --workdir, or the same settings to resume."
        )


def _below(key: str, groups: tuple[str, ...]) -> bool:
    return any(f"{key}.".startswith(f"{group}.") for group in groups)


def _write_json(path: Path, value: object) -> None:
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(fresh, path)


def environment() -> dict[str, object]:
    """What a run was made with: versions, devices, command."""

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "devices": [d.device_kind for d in jax.devices()],
        "processes": jax.process_count(),
        "versions": {name: installed(name) for name in PACKAGES},
    }
