"""Which rows of an index folder a filter lets through: one mask for every signal, so that all obey alike."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError
from indexer.schema import AllOf, AnyOf, Compare, Condition, Contains, FieldKind, Not, Where
from indexer.storage.columns import Column, stored
from indexer.storage.manifest import FieldEntry
from indexer.storage.store import Store
from indexer.text import field_values, languages
from indexer.text.analysis import unspaced
from indexer.text.conditions import comparisons
from indexer.text.wording import holds, words_of

__all__ = ["Allowed", "RowFilters", "check_condition", "kinds_of", "named", "nearest_field"]

_REMEMBERED = 64  # filters whose rows are kept
_READ = 500  # documents read at a time

Marks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Allowed:
    """The rows that a filter lets through; deleted ones never are."""

    marks: Marks
    """(all rows,)"""
    count: int

    @property
    def rows(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.marks)


class RowFilters:
    """Filters of one commit. `kinds` gives the kinds of its fields, when one is first compared."""

    def __init__(
        self,
        store: Store,
        kinds: Callable[[], Mapping[str, FieldKind]] = dict,
        holding: Callable[[Contains], NDArray[np.int64]] | None = None,
    ) -> None:
        """`holding` gives the rows of passages that may hold a wording, and of every document that does at least one."""
        self._store = store
        self._holding = holding
        self._kinds = kinds
        self._lock = threading.Lock()
        self._known: dict[object, Allowed | None] = {}
        self._measures: dict[str, NDArray[np.float64]] = {}

    def allowed(self, where: Where | None) -> Allowed | None:
        """The rows that may be found; None when all may."""
        key = (where.langs, where.conditions()) if where else None
        with self._lock:
            if key in self._known:
                return self._known[key]
        found: Allowed | None = None
        if where or self._store.deleted.any():
            marks = ~self._store.deleted
            if where:
                marks &= self._marks(where)
            found = Allowed(marks, int(marks.sum()))
        with self._lock:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = found
        return found

    def _marks(self, where: Where) -> Marks:
        marks = np.ones(len(self._store), np.bool_)
        if where.langs:
            marks &= self._in_languages(sorted(where.langs))
        for condition in where.conditions():
            marks &= self._passes(condition)
        return marks

    def _passes(self, condition: Condition) -> Marks:
        match condition:
            case Compare():
                return self._compared(condition)
            case Contains():
                return self._contains(condition)
            case Not(part):
                return ~self._passes(part)
            case AllOf(parts):
                return np.asarray(np.all([self._passes(part) for part in parts], axis=0))
            case AnyOf(parts):
                return np.asarray(np.any([self._passes(part) for part in parts], axis=0))

    def _contains(self, wording: Contains) -> Marks:
        """Candidates by the words alone, and of these the documents in whose text they stand in a row."""
        assert self._holding is not None, "wordings are found by an index of words"
        phrase = words_of(wording.text)
        numbers = np.unique(self._store.passages["document"][self._holding(wording)])
        documents = np.zeros(int(self._store.document_bases[-1]), np.bool_)
        if len(phrase) == 1 and not wording.title and not unspaced(phrase[0]):
            documents[numbers] = True
            return self._store.rows_of(documents)
        for start in range(0, len(numbers), _READ):
            some = numbers[start : start + _READ].tolist()
            for number, document in self._store.documents(some).items():
                documents[number] = holds(document, wording, phrase)
        return self._store.rows_of(documents)

    def _measured(self, name: str, column: Column, kind: FieldKind) -> NDArray[np.float64]:
        """The numbers that a column's values are compared by; kept, since there may be a million of them."""
        key = name.casefold()
        with self._lock:
            known = self._measures.get(key)
        if known is None:
            known = np.array([_measure(value, kind) for value in column.values], np.float64)
            with self._lock:
                self._measures[key] = known
        return known

    def _in_languages(self, langs: Sequence[str]) -> Marks:
        codes = np.array([lang.encode() for lang in langs], "S3")
        return np.isin(self._store.passages["lang"], codes)

    def _compared(self, compare: Compare) -> Marks:
        if compare.field == "lang":
            return self._in_languages([compare.value])
        column = self._store.column(compare.field)
        kind = named(compare.field, self._kinds()) or "keyword"
        if kind == "keyword":
            wanted = stored(compare.value)
            good = np.array([value == wanted for value in column.values], np.bool_)
        else:
            good = _in_order(self._measured(compare.field, column, kind), compare, kind)
        documents = np.zeros(int(self._store.document_bases[-1]), np.bool_)
        documents[column.documents[good[column.codes]]] = True
        return self._store.rows_of(documents)


def _in_order(numbers: NDArray[np.float64], compare: Compare, kind: FieldKind) -> Marks:
    """A mark on each of a column's values for which the comparison holds; (values,). NaN passes none."""
    low = end = np.nan
    if kind == "date":
        low, end = field_values.date_span(compare.value) or (np.nan, np.nan)
        above = numbers >= end  # `>1880` begins with 1881
    else:
        limit = field_values.number(compare.value)
        low = np.nan if limit is None else limit
        above = numbers > low
    below = numbers < low
    known = ~np.isnan(numbers)
    match compare.op:
        case "=":
            return known & ~below & ~above
        case "<":
            return below
        case "<=":
            return known & ~above
        case ">":
            return above
        case ">=":
            return known & ~below


def _measure(value: str, kind: FieldKind) -> float:
    """What a value is compared by: the number, or the first second of the date; NaN when it is neither."""
    if kind == "date":
        span = field_values.date_span(value)
        return np.nan if span is None else float(span[0])
    number = field_values.number(value)
    return np.nan if number is None else number


def check_condition(condition: Condition, kinds: Mapping[str, FieldKind]) -> None:
    """Raises ConfigError for a field that nobody has, and for a value or comparison its kind has not."""
    for compare in comparisons(condition):
        name, value = compare.field, compare.value
        if name == "lang":
            languages.check([value])
            if compare.op != "=":
                raise ConfigError(f"lang{compare.op}{value}: a language can only be = or !=")
            continue
        kind = named(name, kinds)
        if kind is None:
            raise ConfigError(f"no document has a field {name!r}; {nearest_field(name, kinds)}")
        if kind == "keyword" and compare.op != "=":
            raise ConfigError(
                f"{name}{compare.op}{value}: {name} is a keyword, which can only be = or !=; where its values are "
                f"numbers or dates, say so when the index is made: --kind {name}=number"
            )
        if kind == "number" and field_values.number(value) is None:
            raise ConfigError(
                f"{name}{compare.op}{value}: {name} is a number, and {value!r} is none"
            )
        if kind == "date" and field_values.date_span(value) is None:
            raise ConfigError(
                f"{name}{compare.op}{value}: {name} is a date, and {value!r} is none; write 1880, 1880-05 or 1880-05-01"
            )


def kinds_of(entries: Mapping[str, FieldEntry]) -> dict[str, FieldKind]:
    """The kinds of fields: as declared, else as their values are.

    Names that differ in case alone are one field, by the first of their spellings in order.
    """
    spelled: dict[str, list[str]] = {}
    for name in sorted(entries):
        spelled.setdefault(name.casefold(), []).append(name)
    kinds: dict[str, FieldKind] = {}
    for names in spelled.values():
        seen: field_values.Seen = ""
        for name in names:
            seen = field_values.joined(seen, entries[name].seen)
        declared = [kind for name in names if (kind := entries[name].declared) is not None]
        kinds[names[0]] = declared[0] if declared else field_values.kind_of(seen)
    return kinds


def named(name: str, kinds: Mapping[str, FieldKind]) -> FieldKind | None:
    """The kind of a field, whatever the case of its name; None when no document has it."""
    if name in kinds:
        return kinds[name]
    return next(
        (kind for known, kind in kinds.items() if known.casefold() == name.casefold()), None
    )


def nearest_field(name: str, kinds: Mapping[str, object]) -> str:
    """What to write instead of a field that nobody has."""
    if not kinds:
        return "they have no fields of their own"
    folded = {known.casefold(): known for known in kinds}
    near = difflib.get_close_matches(name.casefold(), folded, 1, 0.5)
    if near:
        return f"did you mean {folded[near[0]]}?"
    return f"they have: {', '.join(sorted(kinds)[:20])}"
