"""Several tasks of one model in one step, each on a group of the batch that is its own."""

from collections.abc import Mapping

from vlx.tasks.task import Outputs, Task


class Joint(Task):
    """The sum of what its parts optimise; their terms have different names and compare nothing.

    A batch is {name of the part: a batch as the part reads it}.
    """

    parts: Mapping[str, Task]

    fields = ()
    evaluators = ("losses",)

    @property
    def weights(self) -> dict[str, float]:
        return {
            name: weight for part in self.parts.values() for name, weight in part.weights.items()
        }

    @property
    def constants(self) -> dict[str, str]:
        return {name: path for part in self.parts.values() for name, path in part.constants.items()}

    def prepare(self, params, buffers, batch, step, rng, constants):
        prepared = {}
        for name, part in self.parts.items():
            own = params, buffers, batch[name], step, rng, constants
            prepared[name], buffers = part.prepare(*own)
        return prepared, buffers

    def embed(self, params, buffers, batch, step, rngs) -> Outputs:
        terms = {}
        for name, part in self.parts.items():
            terms |= part.embed(params, buffers, batch[name], step, rngs).terms
        return Outputs(terms=terms)
