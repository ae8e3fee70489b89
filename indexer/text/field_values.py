"""Values of a document's own fields: what kind a field is of, and how its values compare.

Values are kept as text. A number is a decimal number; a date is a year, a month, a day or a moment in ISO
8601's form (or 1.5.1880), and stands for the span of time that it names.
"""

from __future__ import annotations

import datetime
import functools
import math
import re
from collections.abc import Iterable
from typing import Literal

from configs.errors import ConfigError
from indexer.schema import FieldKind

__all__ = [
    "KINDS",
    "Seen",
    "check_kind",
    "date_span",
    "joined",
    "kind_of",
    "number",
    "seen_in",
]

KINDS: tuple[FieldKind, ...] = ("keyword", "number", "date")

Seen = Literal["", "year", "number", "date", "keyword"]
"""What all values of a field are that were seen so far: `year` may still become number or date."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")  # 1,234.50
_COMMA = re.compile(r"[-+]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d{1,2}")  # 3,50 and 1.234,50
_YEAR = re.compile(r"[12]\d{3}")
_ISO = re.compile(
    r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?)?)?"
)
_DOTTED = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def number(text: str) -> float | None:
    """A decimal number, also as spreadsheets write it: 1,234.5 and 3,50; None for what is none."""
    text = text.strip()
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    elif _COMMA.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


@functools.lru_cache(65_536)
def date_span(text: str) -> tuple[int, int] | None:
    """(first second, first second after it) of a date, counted from 1970; None for what is none.

    `1880` spans a year, `1880-05` a month, `1880-05-01` a day. A time without a zone is UTC.
    """
    text = text.strip()
    if dotted := _DOTTED.fullmatch(text):
        text = f"{dotted[3]}-{dotted[2]}-{dotted[1]}"
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, zone = found.groups()
    try:
        start = datetime.datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0),
            int(second or 0), tzinfo=datetime.UTC,
        )  # fmt: skip
        if zone and zone != "Z":
            sign = -1 if zone[0] == "-" else 1
            hours, minutes = int(zone[1:3]), int(zone[-2:])
            start -= sign * datetime.timedelta(hours=hours, minutes=minutes)
        seconds = int((start - _EPOCH).total_seconds())
        if hour is not None:
            return seconds, seconds + (1 if second else 60)
        if day is not None:
            return seconds, seconds + 86_400
        following = (int(year), int(month) + 1) if month else (int(year) + 1, 1)
        if following[1] == 13:
            following = (following[0] + 1, 1)
        if following[0] > 9999:
            return seconds, seconds + 366 * 86_400
        end = datetime.datetime(*following, 1, tzinfo=datetime.UTC)
        return seconds, int((end - _EPOCH).total_seconds())
    except (ValueError, OverflowError):
        return None


def seen_in(values: Iterable[str]) -> Seen:
    """What all of these are; empty for none at all."""
    seen: Seen = ""
    for value in values:
        if _YEAR.fullmatch(value.strip()):
            this: Seen = "year"
        elif number(value) is not None:
            this = "number"
        else:
            this = "date" if date_span(value) is not None else "keyword"
        seen = joined(seen, this)
        if seen == "keyword":
            break
    return seen


def joined(one: Seen, other: Seen) -> Seen:
    """What the values of both are together."""
    if one == other or not other:
        return one
    if not one:
        return other
    if "year" in (one, other):
        rest = other if one == "year" else one
        return rest
    return "keyword"


def kind_of(seen: Seen) -> FieldKind:
    """Years alone are numbers: they compare alike."""
    if seen == "year" or seen == "number":
        return "number"
    return "date" if seen == "date" else "keyword"


def check_kind(name: str, kind: str) -> FieldKind:
    """The kind, if it is one. Raises ConfigError."""
    for known in KINDS:
        if kind == known:
            return known
    raise ConfigError(
        f"field {name}: the kind {kind!r} is not known; one of {', '.join(KINDS)} is expected"
    )
