"""Conditions as people write them: `date>=1880 and newspaper=Zeit`, `not (price<3 or tag in (a, "b c"))`.

    condition   or-part { "or" or-part }          or-part     and-part { "and" and-part }
    and-part    "not" and-part | "(" condition ")" | comparison
    comparison  name ("=" | "!=" | "<" | "<=" | ">" | ">=") value | name "in" "(" value { "," value } ")"

Names and values are words, or anything between quotes. Knows nothing of fields or kinds.
"""

from __future__ import annotations

import re
from typing import Literal, cast

from configs.errors import ConfigError
from indexer.schema import AllOf, AnyOf, Compare, Condition, Contains, Not

__all__ = ["comparisons", "contained", "parse_condition"]

_TOKEN = re.compile(
    r"\s*(?:(?P<op>!=|<=|>=|==|=|<|>|≤|≥|≠)|(?P<sign>[(),])|\"(?P<double>(?:[^\"\\]|\\.)*)\"|"
    r"'(?P<single>(?:[^'\\]|\\.)*)'|(?P<word>[^\s()<>=!,\"'≤≥≠]+))"
)
_SAME = {"==": "=", "≤": "<=", "≥": ">=", "≠": "!="}
_MOST = (
    10_000  # characters, and 100 levels of parentheses: beyond them it was not written by a person
)
_DEEPEST = 100

_Token = tuple[str, str, int]  # kind (op, sign, word, text), text, place in the expression


def parse_condition(text: str, option: str = "--where") -> Condition:
    """The condition that a text states. Raises ConfigError naming the place and what is expected there."""
    if len(text) > _MOST:
        raise ConfigError(f"{option}: {len(text):,} characters; at most {_MOST:,} are read")
    return _Parser(text, option).parse()


def comparisons(condition: Condition) -> list[Compare]:
    """Every comparison of a condition."""
    match condition:
        case Compare():
            return [condition]
        case Contains():
            return []
        case Not(part):
            return comparisons(part)
        case AllOf(parts) | AnyOf(parts):
            return [compare for part in parts for compare in comparisons(part)]


def contained(condition: Condition) -> list[Contains]:
    """Every wording that a condition asks for."""
    match condition:
        case Contains():
            return [condition]
        case Compare():
            return []
        case Not(part):
            return contained(part)
        case AllOf(parts) | AnyOf(parts):
            return [wording for part in parts for wording in contained(part)]


class _Parser:
    """Recursive descent, one method a rule."""

    def __init__(self, text: str, option: str) -> None:
        self._text = text
        self._option = option
        self._tokens = self._split()
        self._at = 0
        self._depth = 0

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        end = len(self._text.rstrip())
        while at < end:
            found = _TOKEN.match(self._text, at)
            if found is None:
                raise self._error(
                    at,
                    "a quote that is closed"
                    if self._text[at:].lstrip()[:1] in "\"'"
                    else "a comparison",
                )
            kind = found.lastgroup or "word"
            value = found[kind]
            if kind in ("double", "single"):
                kind, value = "text", re.sub(r"\\(.)", r"\1", value)
            start = found.start() + len(found[0]) - len(found[0].lstrip())
            tokens.append((kind, _SAME.get(value, value) if kind == "op" else value, start))
            at = found.end()
        return tokens

    def _error(self, at: int, expected: str) -> ConfigError:
        rest = self._text[at:].strip()
        where = f"before {rest[:30]!r}" if rest else "at the end"
        return ConfigError(
            f"{self._option} {self._text[:80]!r}: {expected} is expected {where}; write it like "
            "date>=1880 and newspaper=Zeit"
        )

    def _peek(self) -> _Token:
        return (
            self._tokens[self._at] if self._at < len(self._tokens) else ("end", "", len(self._text))
        )

    def _next(self) -> _Token:
        token = self._peek()
        self._at += 1
        return token

    def _is_word(self, word: str) -> bool:
        kind, text, _ = self._peek()
        return kind == "word" and text.lower() == word

    def parse(self) -> Condition:
        found = self._any()
        kind, _, at = self._peek()
        if kind != "end":
            raise self._error(at, "and, or, or the end")
        return found

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._is_word("or"):
            self._next()
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._is_word("and"):
            self._next()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _one(self) -> Condition:
        kind, text, at = self._next()
        if kind == "sign" and text == "(":
            return self._nested(at)
        if kind == "word" and text.lower() == "not" and self._peek()[0] != "op":
            self._deeper(at)
            found: Condition = Not(self._one())
            self._depth -= 1
            return found
        if kind not in ("word", "text") or not text:
            raise self._error(at, "the name of a field")
        return self._comparison(text)

    def _nested(self, at: int) -> Condition:
        self._deeper(at)
        found = self._any()
        kind, text, end = self._next()
        if (kind, text) != ("sign", ")"):
            raise self._error(end, "a closing parenthesis")
        self._depth -= 1
        return found

    def _deeper(self, at: int) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(at, f"at most {_DEEPEST} levels of parentheses; something simpler")

    def _comparison(self, name: str) -> Condition:
        if self._is_word("in"):
            self._next()
            return self._listed(name)
        kind, op, at = self._next()
        if kind != "op":
            raise self._error(at, f"=, !=, <, <=, >, >= or in, after {name!r},")
        value = self._value()
        if op == "!=":
            return Not(Compare(name, "=", value))
        return Compare(name, cast('Literal["=", "<", "<=", ">", ">="]', op), value)

    def _listed(self, name: str) -> Condition:
        kind, text, at = self._next()
        if (kind, text) != ("sign", "("):
            raise self._error(at, "a list in parentheses")
        values = [self._value()]
        while self._peek()[:2] == ("sign", ","):
            self._next()
            values.append(self._value())
        kind, text, at = self._next()
        if (kind, text) != ("sign", ")"):
            raise self._error(at, "a comma or a closing parenthesis")
        return AnyOf(tuple(Compare(name, "=", value) for value in values))

    def _value(self) -> str:
        """A quoted text, or words up to the next `and`, `or`, sign or end: newspaper=Die Zeit."""
        kind, text, at = self._next()
        if kind == "text":
            return text
        if kind != "word":
            raise self._error(at, "a value")
        words = [text]
        while self._peek()[0] == "word" and not self._is_word("and") and not self._is_word("or"):
            words.append(self._next()[1])
        return " ".join(words)
