"""The page's controls for the documents' own fields: what can be chosen, and what was, as a condition.

    f.NAME=VALUE     one of these values (may be repeated)
    min.NAME=VALUE   at least, for numbers and dates       max.NAME=VALUE   at most

They are read from the query string, so that they work without JavaScript and stay in every link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from indexer.schema import FieldKind

__all__ = ["FieldControl", "FieldFacts", "chosen", "condition", "controls"]

PREFIXES = ("f.", "min.", "max.")
BOXES = 12  # values of a keyword that are boxes to tick; more are a box to type into
LISTED = 200  # values that such a box suggests
MOST = 50  # choices that a request may hold

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """A field of the served index; `values` with their counts, most first, of keywords only."""

    name: str
    kind: FieldKind
    values: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True, slots=True)
class FieldControl:
    """One field as the form shows it."""

    name: str
    kind: FieldKind
    boxes: Sequence[tuple[str, int]]
    """Values to tick, with counts; empty: values are typed."""
    suggested: Sequence[str]
    chosen: Sequence[str]
    low: str = ""
    high: str = ""

    @property
    def used(self) -> bool:
        return bool(self.chosen or self.low or self.high)


def chosen(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """The choices in a query string's pairs; empty values are those of boxes that were left empty."""
    found = [(k, v.strip()) for k, v in pairs if k.startswith(PREFIXES) and v.strip()]
    return found[:MOST]


def condition(where: str, pairs: Pairs) -> str:
    """A typed condition and the choices, as one condition."""
    values: dict[str, list[str]] = {}
    parts = [f"({where})"] if where.strip() else []
    for key, value in pairs:
        prefix, _, name = key.partition(".")
        if prefix == "f":
            values.setdefault(name, []).append(value)
        else:
            parts.append(f"{_quoted(name)} {'>=' if prefix == 'min' else '<='} {_quoted(value)}")
    parts += [f"{_quoted(n)} in ({', '.join(map(_quoted, v))})" for n, v in values.items()]
    return " and ".join(parts)


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def controls(fields: Iterable[FieldFacts], pairs: Pairs) -> list[FieldControl]:
    """A control for each field, as it was left."""
    found = []
    for field in fields:
        values = [value for key, value in pairs if key == f"f.{field.name}"]
        boxes = field.values if 0 < len(field.values) <= BOXES else ()
        found.append(
            FieldControl(
                field.name,
                field.kind,
                boxes,
                [value for value, _ in field.values[:LISTED]] if not boxes else (),
                values,
                next((v for k, v in pairs if k == f"min.{field.name}"), ""),
                next((v for k, v in pairs if k == f"max.{field.name}"), ""),
            )
        )
    return found
