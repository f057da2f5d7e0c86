"""Captions written into templates: class names, or the captions that there are."""

from vlx.data.records import Record, Source, annotation, answer_names, tokenizer_texts
from vlx.errors import UserError


class TemplateSource:
    """The records of `source`, whose captions are its label's class name in every template."""

    def __init__(self, source: Source, templates: tuple[str, ...]):
        if not source.class_names:
            raise UserError(
                "data.captions_from='class_templates' needs class names; put classnames.txt, one "
                "name a line, beside the data, or name such a file with data.class_names."
            )
        self.class_names = source.class_names
        self._source = source
        self._templates = templates

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        return self._written(self._source[index], index)

    def annotation(self, index: int) -> Record:
        return self._written(annotation(self._source, index), index)

    def captions(self, index: int) -> tuple[str, ...]:
        """Those of class `index` modulo the classes: a tokenizer needs each class, no image."""
        return self._captions(index % len(self.class_names))

    def _written(self, record: Record, index: int) -> Record:
        label, place = record["label"], record.get("id", f"record {index}")
        if not 0 <= label < len(self.class_names):
            raise UserError(
                f"{place}: label {label} has no class name; there are {len(self.class_names)}."
            )
        return {**record, "captions": self._captions(label)}

    def _captions(self, label: int) -> tuple[str, ...]:
        return tuple(t.replace("{}", self.class_names[label]) for t in self._templates)


class CaptionTemplateSource:
    """The records of `source` with every caption in every template; training draws one of all."""

    def __init__(self, source: Source, templates: tuple[str, ...]):
        self.class_names = source.class_names
        self.answer_names = answer_names(source)
        self._source = source
        self._templates = templates

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        return self._written(self._source[index])

    def annotation(self, index: int) -> Record:
        return self._written(annotation(self._source, index))

    def _written(self, record: Record) -> Record:
        return {**record, "captions": _fill(self._templates, record["captions"])}

    def captions(self, index: int) -> tuple[str, ...]:
        """In one template, each record in another: enough for a tokenizer."""
        template = self._templates[index % len(self._templates)]
        return _fill((template,), tokenizer_texts(self._source, index))


def _fill(templates: tuple[str, ...], captions: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(t.replace("{}", caption) for caption in captions for t in templates)
