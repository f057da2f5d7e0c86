"""Some records of a source that has too many."""

from vlx.data.order import TrainingOrder
from vlx.data.records import Record, Source, annotation


class SampleSource:
    """So many records of `source`, drawn without repetition, always the same."""

    def __init__(self, source: Source, length: int):
        self.class_names = source.class_names
        self._source = source
        self._length = min(length, len(source))
        self._order = TrainingOrder(len(source), seed=0)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Record:
        return self._source[self._order.at(index)[1]]

    def annotation(self, index: int) -> Record:
        return annotation(self._source, self._order.at(index)[1])
