"""The start of a run from a trained model: `init_from` of its config."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vlx.data.answer_vocabulary import FILE as ANSWERS
from vlx.data.tokenizers.vocabulary import keep, write
from vlx.errors import UserError
from vlx.interop.fit import fit
from vlx.interop.pretrained import Pretrained
from vlx.parallel.mesh import place_whole
from vlx.tasks import whole
from vlx.train.checkpoint import has_checkpoint
from vlx.train.partition import flatten, unflatten
from vlx.train.setup import Setup
from vlx.weights import read


def initialiser(setup: Setup) -> Callable[[Any], Any] | None:
    """A function from fresh parameters to those that the run begins with; None to keep them.

    Reads the trained model, tells what it takes of it, and gives the run its vocabulary and its
    answers. A run that has a checkpoint goes on from there and reads nothing.
    """
    path, model = setup.config.init_from, setup.task.model
    if not path or has_checkpoint(setup.workdir):
        return None
    try:
        source = read(Path(path), model=model.config)
    except UserError as error:
        raise UserError(f"config.init_from: {error}") from error
    shapes = {name: tuple(x.shape) for name, x in flatten(whole(*setup.program.shapes)).items()}
    fitted = fit(shapes, model.config, source)
    if jax.process_index() == 0:
        fitted.show(f"from {path}")
        _compare_pixels(setup, source)
    if setup.task.text_length:
        _share_vocabulary(setup, source)
    _share_answers(setup, source)

    def initialise(params: Any) -> Any:
        flat = flatten(params)
        for name, value in fitted.values.items():
            flat[name] = _placed(value, flat[name])
        return unflatten(flat)

    return initialise


def _placed(value: np.ndarray, fresh: jax.Array) -> jax.Array:
    """The value where the fresh one lives, which stays where the value is masked."""
    data = place_whole(np.ma.getdata(value).astype(fresh.dtype), fresh.sharding)
    if not np.ma.is_masked(value):
        return data
    masked = place_whole(np.ma.getmaskarray(value), fresh.sharding)
    return jax.jit(jnp.where, out_shardings=fresh.sharding)(masked, fresh, data)


def _compare_pixels(setup: Setup, source: Pretrained) -> None:
    before, now = source.pixels.statistics, setup.task.pixels
    if before != now:
        print(f"The trained model saw pixels by the statistics {before!r}, this run's by {now!r}.")


def _share_vocabulary(setup: Setup, source: Pretrained) -> None:
    """Gives the run the vocabulary of the model, whose embeddings mean nothing under another.

    Only where the config asks for the same kind and names no file of its own.
    """
    c, old = setup.config.tokenizer, source.tokenizer
    if old is None or old.name != c.name:
        said = f"The vocabulary is the run's own ({c.name}), not the trained model's."
    elif source.vocabulary and not c.path:
        keep({path.name: str(path) for path in source.vocabulary}, str(setup.workdir / "tokenizer"))
        said = "The vocabulary is the trained model's."
    else:
        said = f"The vocabulary is that of tokenizer.name={c.name!r}, tokenizer.path={c.path!r}."
    if jax.process_index() == 0:
        print(said)


def _share_answers(setup: Setup, source: Pretrained) -> None:
    """Gives the run the answers of the model, which its head knows by their numbers.

    Only where the run has as many, and names no file of its own.
    """
    file = setup.workdir / ANSWERS
    if "answer_scores" not in setup.task.fields or setup.config.data.answers or file.is_file():
        return
    if source.answers and len(source.answers) == setup.task.answers:
        write(str(file), "".join(f"{answer}\n" for answer in source.answers).encode())
        if jax.process_index() == 0:
            print("The answers are the trained model's.")
