"""What a model says, in files that benchmarks' servers read."""

import logging
from collections.abc import Iterable, Sequence

from vlx.data.records import Record
from vlx.evaluate.context import Context
from vlx.evaluate.examples import examples_file, keep_examples

KINDS = {  # by what a server calls the example and what was said of it
    ("question_id", "answer"): "predictions",
    ("image_id", "caption"): "caption-predictions",
}

_log = logging.getLogger(__name__)


def keep_predictions(
    context: Context, records: Sequence[Record], said: Sequence[str], names: tuple[str, str]
) -> None:
    """All that was said, in the run's evaluations/KIND-SPLIT.json, if all records have a number.

    names: a key of KINDS. An example that the split holds several times counts once, as servers
    want it.
    """
    number, what = names
    if not all(number in record for record in records):
        return
    pairs = zip(records, said, strict=True)
    rows = first_of_each(({number: record[number], what: text} for record, text in pairs), number)
    keep_examples(context, KINDS[names], rows)
    file = examples_file(context.setup.workdir, KINDS[names], context.kept_as)
    _log.info("%d %ss are kept in %s", len(rows), what, file)


def first_of_each(rows: Iterable[dict], number: str) -> list[dict]:
    """The rows in their order, of several with the same number the first."""
    first = {}
    for row in rows:
        first.setdefault(row[number], row)
    return list(first.values())
