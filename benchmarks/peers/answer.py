"""The peer's end of a benchmark: answers requests, one line of JSON each.

What a library prints goes to standard error, so that answers stay readable.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(run: Callable[[dict], dict], about: dict[str, Any]) -> None:
    """Says what this peer is, then answers `run(request)` until there is nothing more to read."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps(about), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)
