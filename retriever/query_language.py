"""The query language: `"great fire" -docks lang:cs title:požár`, and what only looks like it.

A piece of a query is syntax when all of it is right: a quotation that is closed, a minus before a word of its own,
`lang:` before a language, `title:` or a field of the index before a value. Everything else is text: `10:30`,
`http://example.org`, `-5 degrees`, `re: hello`, `C++`, an unbalanced quote.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from configs.errors import ConfigError
from indexer.schema import AllOf, AnyOf, Compare, Condition, Contains, FieldKind, Not, Where
from indexer.search.filters import check_condition, named
from indexer.text.wording import words_of

__all__ = ["ParsedQuery", "parse_query"]

_PIECE = re.compile(
    r"""(?<!\S)
    (?P<minus>-?)
    (?:(?P<name>[^\W\d][\w.]*)(?P<op>:|!=|<=|>=|=|<|>))?
    (?:["“”„](?P<quoted>[^"“”„]+)["“”]|«(?P<angled>[^«»]+)»|(?P<plain>[^\s"“”„«»]+))
    (?P<end>[.,;:?!)]*)
    (?!\S)""",
    re.VERBOSE,
)
_WORD = re.compile(r"[^\W\d_](?:[\w'’-]*\w)?")
_SHORTEST = 3  # letters of an excluded word in ASCII: `rm -rf`, `tar -x` are text
_LONGEST = 20  # pieces of syntax that one query may have; what comes after is text


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A query, read."""

    typed: str
    text: str
    """What is searched by words and by meaning."""
    where: Where | None = None
    """What every hit must fulfil: the filter that was given, and the syntax of the query."""
    syntax: tuple[str, ...] = ()
    """The pieces of the query that were read as syntax."""


@dataclass(slots=True)
class _Reading:
    text: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    """Of fields and titles: searched where the query has no other text."""
    conditions: list[Condition] = field(default_factory=list)
    syntax: list[str] = field(default_factory=list)


def parse_query(
    typed: str,
    where: Where | None = None,
    *,
    kinds: Mapping[str, FieldKind] | None = None,
    langs: Collection[str] = (),
) -> ParsedQuery:
    """`typed` with its syntax taken out of the text and added to the filter `where`.

    `kinds`: the fields of the documents; `langs`: the languages that `lang:` may name, those of the index. A query that
    is nothing but exclusions and languages is text.
    """
    reading = _Reading()
    end = 0
    for match in _PIECE.finditer(typed):
        condition = None
        if len(reading.syntax) < _LONGEST:
            condition = _condition(match, reading, kinds or {}, langs)
        if condition is None:
            continue
        reading.text.append(typed[end : match.start()])
        end = match.end()
        reading.conditions.append(condition)
        reading.syntax.append(match[0].rstrip(".,;:?!)"))
        if (said := _said(match)) is not None:
            reading.text.append(said + match["end"])
    reading.text.append(typed[end:])
    text = " ".join(" ".join(reading.text).split())
    if not any(map(str.isalnum, text)):
        text = " ".join(reading.values)
    if not reading.conditions or not any(map(str.isalnum, text)):
        return ParsedQuery(typed, typed, where)
    given = where or Where()
    conditions = (*([given.condition] if given.condition is not None else []), *reading.conditions)
    joined = conditions[0] if len(conditions) == 1 else AllOf(conditions)
    return ParsedQuery(typed, text, Where(given.langs, given.fields, joined), tuple(reading.syntax))


def _said(match: re.Match[str]) -> str | None:
    """What a piece of syntax adds to the text: the words of a phrase that is wanted."""
    if match["minus"] or match["name"]:
        return None
    return match["quoted"] or match["angled"]


def _condition(
    match: re.Match[str], reading: _Reading, kinds: Mapping[str, FieldKind], langs: Collection[str]
) -> Condition | None:
    """What a piece asks of a hit; None where it is text."""
    quoted = match["quoted"] or match["angled"]
    value = quoted or match["plain"]
    found: Condition | None = None
    if match["name"]:
        found = _field(
            match["name"], match["op"], value, reading, bool(match["minus"]), kinds, langs
        )
    elif quoted:
        found = _phrase(quoted)
    elif match["minus"]:
        word = value.rstrip(".,;")  # but not "?" and "!": `gcc -Wall?` is a sentence
        if _WORD.fullmatch(word) and (len(word) >= _SHORTEST or not word.isascii()):
            found = _phrase(word)
    if found is not None and match["minus"]:
        return Not(found)
    return found


def _phrase(text: str, title: bool = False) -> Contains | None:
    return Contains(text, title) if words_of(text) else None


def _field(
    name: str,
    op: str,
    value: str,
    reading: _Reading,
    excluded: bool,
    kinds: Mapping[str, FieldKind],
    langs: Collection[str],
) -> Condition | None:
    folded = name.casefold()
    if folded == "lang":
        codes = value.casefold().split(",")
        if op != ":" or not set(codes) <= set(langs):
            return None
        parts = tuple(Compare("lang", "=", code) for code in codes)
        return parts[0] if len(parts) == 1 else AnyOf(parts)
    if folded == "title" and op == ":":
        found = _phrase(value, title=True)
        if found is not None and not excluded:
            reading.values.append(value)
        return found
    if named(name, kinds) is None:
        return None
    compare = Compare(name, "=" if op in (":", "!=") else op, value)  # type: ignore[arg-type]
    try:
        check_condition(compare, kinds)
    except ConfigError:  # `author:` of a field that holds numbers, say
        return None
    if not excluded and op in (":", "="):
        reading.values.append(value)
    return Not(compare) if op == "!=" else compare
