"""The documents' own fields in a list of hits: sorted by one, and counted."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from configs.errors import ConfigError
from indexer.schema import Document, FieldKind, Hit
from indexer.search.filters import named, nearest_field
from indexer.storage.columns import values_of
from indexer.text import field_values

__all__ = ["LANG", "check_field", "counted", "lines", "shown", "sorted_hits"]

LANG = "lang"  # of every document, beside its own fields
_SHORT = 80  # characters of a value that is shown beside a title


def check_field(name: str, kinds: Mapping[str, FieldKind]) -> FieldKind:
    """The field's kind. Raises ConfigError for one that no document has, with the nearest that one has."""
    kind: FieldKind | None = "keyword" if name == LANG else named(name, kinds)
    if kind is None:
        raise ConfigError(f"no document has a field {name!r}; {nearest_field(name, kinds)}")
    return kind


def _values(document: Document, name: str) -> list[str]:
    """A document's values of a field, whatever the case of its name; its language by the name of LANG."""
    if name == LANG:
        return [document.lang] if document.lang else []
    found = [t for n, t in document.fields.items() if n.casefold() == name.casefold()]
    return [value for text in found for value in values_of(text)]


def sorted_hits(hits: Sequence[Hit], by: str, kinds: Mapping[str, FieldKind]) -> list[Hit]:
    """Hits in the order of a field, descending where `by` begins with a minus; those without it last.

    Of several values the smallest counts, descending the largest. Equal ones keep their order. Raises
    ConfigError for a field that no document has.
    """
    descending = by.startswith("-") and by not in kinds
    name = by[1:] if descending else by
    kind = check_field(name, kinds)
    keys = [_key(hit.document, name, kind, descending) for hit in hits]
    known = [place for place, key in enumerate(keys) if key is not None]
    known.sort(key=lambda place: keys[place], reverse=descending)
    if descending:  # reversing a stable sort turns equal ones round as well
        known = [place for key in dict.fromkeys(keys[p] for p in known) for place in range(len(hits)) if keys[place] == key]  # fmt: skip
    order = known + [place for place, key in enumerate(keys) if key is None]
    return [dataclasses.replace(hits[place], rank=rank) for rank, place in enumerate(order, 1)]


def _key(document: Document, name: str, kind: FieldKind, largest: bool) -> Any:
    """What a document is sorted by; None when it has no value of the field's kind."""
    found: list[Any] = []
    for value in _values(document, name):
        if kind == "number":
            number = field_values.number(value)
            found += [] if number is None else [number]
        elif kind == "date":
            span = field_values.date_span(value)
            found += [] if span is None else [span[0]]
        elif value:
            found.append(value.casefold())
    if not found:
        return None
    return max(found) if largest else min(found)


def counted(documents: Iterable[Document], name: str) -> dict[str, int]:
    """How many of the documents have each value of a field, most first."""
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(set(_values(document, name)))
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def lines(document: Document) -> list[tuple[str, str]]:
    """A document's fields with their values, lists with commas."""
    return [(name, ", ".join(values_of(text))) for name, text in document.fields.items()]


def shown(document: Document) -> list[tuple[str, str]]:
    """The fields that are short enough to stand beside a title."""
    pairs = lines(document)
    return [(name, text) for name, text in pairs if len(text) <= _SHORT and "\n" not in text]
