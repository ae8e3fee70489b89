"""What a visitor asked for, checked: one reading for the page, the API's GET and its POST.

It knows the limits and the index's languages, not how anything is searched. Everything that is wrong
is collected, so that a visitor mends it together.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from werkzeug.datastructures import MultiDict

from configs.errors import ConfigError, TandemError
from indexer.schema import Condition, FieldKind, Mode
from indexer.search.filters import check_condition, named, nearest_field
from indexer.text.conditions import parse_condition
from retriever import fields as document_fields

__all__ = [
    "FIELDS",
    "FLAGS",
    "MODES",
    "Asked",
    "Limits",
    "Problem",
    "Refused",
    "from_query_string",
    "read",
    "shown",
]

Field = Literal["q", "mode", "k", "offset", "lang", "where", "sort", "facet", "explain", "literal"]

MODES: dict[Mode, str] = {
    "hybrid": "Words and meaning",
    "dense": "Meaning",
    "lexical": "Words",
}
FIELDS: tuple[Field, ...] = (
    "q", "mode", "k", "offset", "lang", "where", "sort", "facet", "explain", "literal",
)  # fmt: skip
WHOLE = re.compile(r"-?\d{1,11}")
REPORTED = 10  # values of one kind that a message names; a request may hold a hundred thousand
FLAGS = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for; `reach` is the last hit that paging gets to."""

    k: int = 10
    mode: Mode = "hybrid"
    max_k: int = 100
    max_query: int = 10_000  # characters
    reach: int = 1_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a code for programs, the field, a sentence for people."""

    code: str
    field: str
    message: str


class Refused(TandemError):
    """A request that cannot be answered as it stands (HTTP 400); carries every problem found."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(" ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Asked:
    """One search, within the limits. `langs` is empty for all languages."""

    query: str
    mode: Mode
    k: int
    offset: int
    langs: tuple[str, ...]
    explain: bool
    where: str = ""
    condition: Condition | None = None
    """`where`, parsed."""
    sort: str = ""
    facets: tuple[str, ...] = ()
    """Fields whose values are counted."""
    literal: bool = False
    """The whole query is text, and no word of it is put right."""


def from_query_string(args: MultiDict[str, str]) -> dict[str, object]:
    """A query string's fields with the types that JSON would give them, where they can be had."""
    values: dict[str, object] = {key: args[key] for key in args}
    if "lang" in args:
        values["lang"] = [code for code in args.getlist("lang") if code]
    if "facet" in args:
        values["facet"] = [name for name in args.getlist("facet") if name]
    for name in ("k", "offset"):
        text = args.get(name, "").strip()
        if text == "":
            values.pop(name, None)
        elif WHOLE.fullmatch(text):
            values[name] = int(text)
    for name in ("explain", "literal"):
        if name in args:
            values[name] = FLAGS.get(args[name].lower(), args[name])
    for name in ("mode", "where", "sort"):
        if not args.get(name):
            values.pop(name, None)
    return values


def read(
    values: Mapping[str, object],
    limits: Limits,
    languages: Collection[str],
    strict: bool,
    kinds: Mapping[str, FieldKind] | None = None,
) -> Asked:
    """`values` as a search. `strict` (the API) also refuses fields that nobody knows. `kinds` are those of
    the documents' own fields.

    Raises Refused with every problem.
    """
    problems: list[Problem] = []
    if strict:
        unknown = (name for name in values if name not in FIELDS)
        problems += [_unknown_field(name) for name in islice(unknown, REPORTED)]
    query = _query(values.get("q"), limits, problems)
    mode = _mode(values.get("mode", limits.mode), problems)
    k = _integer("k", values.get("k", limits.k), 1, limits.max_k, problems)
    offset = _integer("offset", values.get("offset", 0), 0, limits.reach - 1, problems)
    langs = _languages(values.get("lang", []), languages, problems)
    kinds = kinds or {}
    where = values.get("where", "")
    condition = _condition(where, kinds, problems)
    sort = values.get("sort", "")
    names = (
        [sort.removeprefix("-") if named(str(sort), kinds) is None else sort]
        if sort and isinstance(sort, str)
        else []
    )
    if not isinstance(sort, str):
        problems.append(Problem("sort_invalid", "sort", "sort must be the name of a field."))
    facets = values.get("facet", [])
    facets = [facets] if isinstance(facets, str) else facets
    if not isinstance(facets, list) or not all(isinstance(name, str) for name in facets):
        problems.append(
            Problem("facet_invalid", "facet", "facet must be a field or a list of them.")
        )
        facets = []
    for field, name in [("sort", name) for name in names] + [("facet", name) for name in facets]:
        if name != document_fields.LANG and named(name, kinds) is None:
            near = nearest_field(name[:100], kinds)
            message = (
                f"No document has a field {shown(name)}; {near}{'' if near.endswith('?') else '.'}"
            )
            problems.append(Problem(f"{field}_unknown", field, message))
    flags = {name: values.get(name, False) for name in ("explain", "literal")}
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            message = f"{name} must be true or false."
            problems.append(Problem(f"{name}_invalid", name, message))
    if problems:
        raise Refused(problems)
    return Asked(
        query, mode, min(k, limits.reach - offset), offset, langs, flags["explain"] is True,
        str(where), condition, str(sort), tuple(dict.fromkeys(facets[:REPORTED])), flags["literal"] is True,
    )  # fmt: skip


def _unknown_field(name: str) -> Problem:
    if name == "format":  # one of a GET request only
        message = "A file of hits is made by GET /api/v1/search; POST answers with JSON: leave format out."
        return Problem("field_unknown", name, message)
    near = difflib.get_close_matches(name[:40], FIELDS, n=1)
    cure = f"did you mean {near[0]}?" if near else f"known are {', '.join(FIELDS)}."
    return Problem("field_unknown", name[:40], f"There is no field {shown(name)}; {cure}")


def _query(value: object, limits: Limits, problems: list[Problem]) -> str:
    if value is None:
        problems.append(Problem("query_missing", "q", "Give the query as q."))
    elif not isinstance(value, str):
        problems.append(Problem("query_invalid", "q", "The query q must be text."))
    elif not value.strip():
        problems.append(Problem("query_empty", "q", "The query is empty; type something to find."))
    elif len(value) > limits.max_query:
        problems.append(
            Problem(
                "query_too_long",
                "q",
                f"The query has {len(value):,} characters; at most {limits.max_query:,} are read. "
                "Shorten it, or search for its most telling sentence.",
            )
        )
    elif not any(map(str.isalnum, value)):
        message = f"The query {shown(value)} has no word to search for; signs alone find nothing."
        problems.append(Problem("query_without_words", "q", message))
    else:
        # lone surrogates (JSON's "\ud800") are no text: nothing could encode or print them
        return value.strip().encode("utf-8", "replace").decode("utf-8")
    return ""


def _condition(
    value: object, kinds: Mapping[str, FieldKind], problems: list[Problem]
) -> Condition | None:
    if not isinstance(value, str):
        message = "where must be a condition, for example date>=1880 and newspaper=Zeit."
        problems.append(Problem("where_invalid", "where", message))
        return None
    if not value.strip():
        return None
    try:
        condition = parse_condition(value, "where")
        check_condition(condition, kinds)
    except ConfigError as error:
        problems.append(Problem("where_invalid", "where", f"{error}."))
        return None
    return condition


def _mode(value: object, problems: list[Problem]) -> Mode:
    if isinstance(value, str) and value in MODES:
        return value
    problems.append(
        Problem(
            "mode_unknown",
            "mode",
            f"There is no mode {shown(value)}; choose one of {', '.join(MODES)}.",
        )
    )
    return "hybrid"


def _integer(name: Field, value: object, low: int, high: int, problems: list[Problem]) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    message = f"{name} must be a whole number from {low} to {high}, not {shown(value)}."
    problems.append(Problem(f"{name}_out_of_range", name, message))
    return low


def _languages(
    value: object, languages: Collection[str], problems: list[Problem]
) -> tuple[str, ...]:
    codes = [value] if isinstance(value, str) else value
    if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
        problems.append(
            Problem("language_invalid", "lang", "lang must be a language code or a list of them.")
        )
        return ()
    unknown = sorted(set(codes) - set(languages))
    if unknown:
        held = ", ".join(sorted(code for code in languages if code)) or "none"
        named = ", ".join(map(shown, unknown[:REPORTED])) + (" ..." if unknown[REPORTED:] else "")
        problems.append(
            Problem(
                "language_unknown",
                "lang",
                f"The index holds no documents in {named}; it has these languages: {held}.",
            )
        )
    return tuple(sorted(set(codes)))


def shown(value: object) -> str:
    """A visitor's value inside a message: quoted, and short whatever it was."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
