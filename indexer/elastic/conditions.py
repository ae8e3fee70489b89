"""Documents' own fields in the cluster: how their values are written, and conditions on them as filters.

Fields have any names, so none is mapped by its own. `field` holds NAME=VALUE for what is equal, and `ordered`
holds each number and each date as NAME and an order-preserving key, so that a range of numbers is a range
of terms. What a value counts as is decided when it is compared, as in a folder.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from indexer.schema import AllOf, AnyOf, Compare, Condition, Contains, FieldKind, Not, Where
from indexer.storage.columns import stored, values_of
from indexer.text import field_values

__all__ = ["equal_terms", "filters_of", "ordered_terms", "wording_candidates"]

_NUMBER, _DATE = "n", "d"
_BETWEEN = "\0"  # no name holds it
_LONGEST = 300  # characters of a name that tell it from others
_LEAST, _MOST = "0" * 16, "g"  # before and after every key


def equal_terms(fields: Mapping[str, str]) -> list[str]:
    """NAME=VALUE of each value of a document."""
    return [
        _equal(name, value)
        for name, text in fields.items()
        for value in dict.fromkeys(map(stored, values_of(text)))
    ]


def ordered_terms(fields: Mapping[str, str]) -> list[str]:
    """Each value that is a number, and each that is a date; some are both."""
    terms: dict[str, None] = {}
    for name, text in fields.items():
        for value in values_of(text):
            number, span = field_values.number(value), field_values.date_span(value)
            if number is not None:
                terms[_prefix(_NUMBER, name) + _key(number)] = None
            if span is not None:
                terms[_prefix(_DATE, name) + _key(span[0])] = None
    return list(terms)


def _equal(name: str, value: str) -> str:
    return f"{name.casefold()[:_LONGEST]}={value}"


def _prefix(kind: str, name: str) -> str:
    return f"{kind}{name.casefold()[:_LONGEST]}{_BETWEEN}"


def _key(number: float) -> str:
    """16 hexadecimal digits in the order of the numbers."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", number + 0.0))  # -0.0 is 0.0
    return f"{bits ^ (0xFFFFFFFFFFFFFFFF if bits >> 63 else 1 << 63):016x}"


Documents = Mapping[Contains, Sequence[str]]
"""Wording -> the ids of the documents that hold it."""


def filters_of(
    where: Where | None, kinds: Mapping[str, FieldKind], holding: Documents | None = None
) -> list[dict[str, Any]]:
    """What must hold of a passage, as Elasticsearch takes it. `kinds`: of the index's fields; `holding`: the documents
    of every wording in `where`.
    """
    if where is None:
        return []
    langs = [{"terms": {"lang": sorted(where.langs)}}] if where.langs else []
    return [*langs, *(_filter(one, kinds, holding or {}) for one in where.conditions())]


def wording_candidates(groups: Sequence[Sequence[str]], fields: Sequence[str]) -> dict[str, Any]:
    """Passages that hold one term of each group in one of these fields."""
    must = [
        {"bool": {"should": [{"terms": {field: list(group)}} for field in fields]}}
        for group in groups
    ]
    return {"bool": {"filter": must}}


def _filter(
    condition: Condition, kinds: Mapping[str, FieldKind], holding: Documents
) -> dict[str, Any]:
    match condition:
        case Contains():
            return {"terms": {"document": list(holding[condition])}}
        case Compare():
            folded = {name.casefold(): kind for name, kind in kinds.items()}
            return _compared(condition, folded.get(condition.field.casefold(), "keyword"))
        case Not(part):
            return {"bool": {"must_not": [_filter(part, kinds, holding)]}}
        case AllOf(parts):
            return {"bool": {"filter": _all(parts, kinds, holding)}}
        case AnyOf(parts):
            return {"bool": {"should": _all(parts, kinds, holding), "minimum_should_match": 1}}


def _all(
    parts: Sequence[Condition], kinds: Mapping[str, FieldKind], holding: Documents
) -> list[dict[str, Any]]:
    return [_filter(part, kinds, holding) for part in parts]


def _compared(compare: Compare, kind: FieldKind) -> dict[str, Any]:
    if compare.field == "lang":
        return {"term": {"lang": compare.value}}
    if kind == "keyword":
        return {"term": {"field": _equal(compare.field, stored(compare.value))}}
    if kind == "number":
        number = field_values.number(compare.value)
        low = math.nan if number is None else number
        after = math.nextafter(low, math.inf)
        prefix = _prefix(_NUMBER, compare.field)
    else:
        span = field_values.date_span(compare.value)
        low, after = (math.nan, math.nan) if span is None else span
        prefix = _prefix(_DATE, compare.field)
    if math.isnan(low):
        return {"match_none": {}}
    first, beyond = _key(low), _key(after)
    ranges = {
        "=": (first, beyond),
        "<": (_LEAST, first),
        "<=": (_LEAST, beyond),
        ">": (beyond, _MOST),  # `>1880` begins with 1881
        ">=": (first, _MOST),
    }
    start, end = ranges[compare.op]
    return {"range": {"ordered": {"gte": prefix + start, "lt": prefix + end}}}
