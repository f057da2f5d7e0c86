"""What the results of an evaluation are kept as, so that those of other data stay apart."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlx.config import flat, to_dict
from vlx.errors import UserError
from vlx.train.config import RunConfig

# Settings of the data that do not change what is measured, or are told by the split.
SILENT = ("workers", "threads", "prefetch", "eval_split")
TELLING = ("data.path", "data.source")  # of several changes, the one that a name tells
LONGEST = 60  # characters of what a name adds to the split

Settings = Mapping[str, Any]  # by dotted name


def data_settings(config: RunConfig) -> Settings:
    """All settings that say what data are measured."""
    groups = {name: {"data": group.get("data", {})} for name, group in config.groups.items()}
    found = flat(to_dict({"data": config.data, "groups": groups}))
    return {name: x for name, x in found.items() if name.rpartition(".")[2] not in SILENT}


def other_settings(own: RunConfig, given: RunConfig) -> Settings:
    """The settings of the data that are not the run's own."""
    own, given = data_settings(own), data_settings(given)
    return {name: x for name, x in given.items() if name not in own or own[name] != x}


def name_of(split: str, settings: Settings) -> str:
    """The split, and where the data are not the run's own, what tells them apart.

    Such as `val-flickr30k` where data.path is /data/flickr30k.
    """
    first = next((name for name in TELLING if name in settings), None)
    told = [first] if first else sorted(settings)
    words = [split, "-".join(_word(name, settings[name]) for name in told)[:LONGEST]]
    return "-".join(word for word in words if word)


def _word(name: str, value: Any) -> str:
    """The last part of a path, or of other settings their name with the value."""
    told = Path(value).name if isinstance(value, str) else ""
    told = told or f"{name.rpartition('.')[2]}_{value}"
    return re.sub(r"(?:[^\w.]|_)+", "_", told).strip("_.")


def check_name(workdir: Path, name: str, settings: Settings) -> None:
    """Refuses a name that is no file's, or that results of other data or models have."""
    if not re.fullmatch(r"[\w.][\w.\-\[\]:%+]*", name):
        raise UserError(
            f"--save_as={name!r} becomes a part of files' names; take letters, digits, '_', '-' "
            "and '.'."
        )
    for path in sorted((workdir / "evaluations").glob("*.json")):
        if not re.fullmatch(re.escape(name) + r"-\d+", path.stem):
            continue
        kept = json.loads(path.read_text())
        if not isinstance(kept, dict) or "results" not in kept:
            continue
        old, new = kept.get("settings", {}), json.loads(json.dumps(dict(settings)))
        if old != new:
            key = next(k for k in sorted(old.keys() | new.keys()) if old.get(k) != new.get(k))
            was, now = (x.get(key, "the run's own") for x in (old, new))
            raise UserError(
                f"{path} holds results of something else ({key}: {was}, now {now}). Give these "
                "another name, --save_as=NAME, or remove that file."
            )
