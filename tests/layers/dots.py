"""Matrix products of a lowered program."""

import math
import re

FUNCTION = re.compile(r"func\.func (?:public |private )?@(\w+)(.*?)\n  }", re.DOTALL)
CALL = re.compile(r"call @(\w+)")
DOT = re.compile(
    r"stablehlo\.dot_general .*?contracting_dims = \[([\d, ]*)\] x \[[\d, ]*\].*?"
    r": \(tensor<([^>]*)>, tensor<[^>]*>\) -> tensor<([^>]*)>"
)


def dot_flops(lowered) -> int:
    """2 m n k of every product, as often as its function is called; a loop's body counts once."""
    bodies = dict(FUNCTION.findall(lowered.as_text()))

    def count(name: str) -> int:
        own = sum(_flops(*dot) for dot in DOT.findall(bodies[name]))
        return own + sum(count(called) for called in CALL.findall(bodies[name]))

    return count("main")


def _flops(contracted: str, left: str, out: str) -> int:
    shape = [int(n) for n in left.split("x")[:-1]]
    depth = math.prod(shape[int(axis)] for axis in contracted.split(","))
    return 2 * depth * math.prod(int(n) for n in out.split("x")[:-1])
