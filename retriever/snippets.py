"""The part of a passage to show for a query, with the words that matched marked.

A word is marked when its folded form or one of its stems is among the query's, by the document's
language: what the search by words would match. The text is given as segments, never as markup.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from indexer.schema import Hit
from indexer.text.analysis import STEMMERS, fold, query_terms, tokens, word_matches, word_terms

__all__ = ["marks", "snippet"]

# Languages whose stems keep the first two letters of their words (in 470,000 words of real text), save
# where the second of the word is this one: dying, die; aeson, ason. Arabic or Dutch stems lose a prefix.
_KEPT = dict.fromkeys("cs da es fr hu it lt no pl pt ro ru sk sv".split(), "") | {
    "en": "y",
    "de": "e",
}
_LAST = (
    "\u0530"  # Latin, Greek and Cyrillic letters are below: none joins with the one that follows
)


def marks(text: str, query: str, lang: str) -> list[tuple[int, int]]:
    """(start, end) of each word of `text` that the query names, in order."""
    wanted = _wanted(query, lang)
    words, stems, little, beginnings = wanted.words, wanted.stems, wanted.little, wanted.beginnings
    found = []
    for match in word_matches(text):
        word = match[0]
        if (
            beginnings is not None
            and _beginning(word[:2]) not in beginnings
            and (word.isascii() or max(word) < _LAST)
        ):
            continue  # most words: a term that begins otherwise is no term of the query
        mine, stem = word_terms(word, lang)
        if " " in mine:  # a script without spaces: the characters of the matching bigrams
            found += _bigram_marks(text, *match.span(), words)
        elif (mine in words or stem in stems) and mine and mine not in little:
            found.append(match.span())
    return found


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The terms of a query whose words are marked; `little` are words that never are."""

    words: frozenset[str]
    stems: frozenset[str]
    little: frozenset[str]
    beginnings: frozenset[str] | None
    """How a word that has one of these terms may begin, folded; None: in any way."""


@functools.lru_cache(maxsize=1024)  # the hits of a page have few languages
def _wanted(query: str, lang: str) -> _Wanted:
    words, stems = query_terms(query, [lang])
    longer = frozenset(stem for stem in stems if len(stem) > 1)
    terms = [*words, *longer]
    beginnings: set[str] | None = None
    if lang in _KEPT or lang not in STEMMERS:
        second = _KEPT.get(lang, "")
        # one letter: of a word of one, or of one with an accent of its own after it
        beginnings = {term[:n] for term in terms for n in (1, 2)} | {t[0] + second for t in terms}
    return _Wanted(
        frozenset(words),
        longer,
        _unmarked(query, frozenset(words)),
        None if beginnings is None else frozenset(beginnings),
    )


@functools.lru_cache(maxsize=65_536)
def _beginning(letters: str) -> str:
    return fold(letters)[:2]


def _unmarked(query: str, words: frozenset[str]) -> frozenset[str]:
    """Words that say nothing of a hit: single letters, and in a longer query its "how", "to" and "the"."""
    little = {fold(word) for word, _, _ in tokens(query) if len(word) <= 3 and word.islower()}
    letters = frozenset(word for word in words if len(word) == 1 and word.isascii())
    return letters | little if len(words - little) >= 2 else letters


def _bigram_marks(text: str, start: int, end: int, wanted: frozenset[str]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for i in range(start, end - 1):
        if _folded(text[i : i + 2]) in wanted:
            if runs and runs[-1][1] >= i:
                runs[-1] = (runs[-1][0], i + 2)
            else:
                runs.append((i, i + 2))
    return runs


@functools.lru_cache(maxsize=65_536)
def _folded(pair: str) -> str:
    """Two characters, folded; the same few come again and again."""
    return fold(pair)


def snippet(hit: Hit, query: str, length: int = 280) -> list[tuple[str, bool]]:
    """About `length` characters of the hit's passage, as (text, marked) segments; "..." where it is cut.

    The window holds the most different marked words; without any, it is the passage's beginning.
    """
    text = hit.passage.text
    found = marks(text, query, hit.document.lang)
    start, end = _window(text, found, length)
    segments: list[tuple[str, bool]] = []
    if start > 0 or hit.passage.start > 0:
        segments.append(("… ", False))
    at = start
    for first, last in found:
        if first < at or last > end:
            continue
        if first > at:
            segments.append((_line(text[at:first]), False))
        segments.append((_line(text[first:last]), True))
        at = last
    if at < end:
        segments.append((_line(text[at:end]), False))
    if end < len(text):
        segments.append((" …", False))
    return [segment for segment in segments if segment[0]]


def _line(text: str) -> str:
    return " ".join(text.split("\n")) if "\n" in text else text


def _window(text: str, found: list[tuple[int, int]], length: int) -> tuple[int, int]:
    if len(text) <= length:
        return 0, len(text)
    best, most = 0, -1
    for first, _ in found:
        start = max(0, first - length // 5)
        inside = {text[a:b].casefold() for a, b in found if start <= a and b <= start + length}
        if len(inside) > most:
            best, most = start, len(inside)
    start = _border(text, best) if best else 0
    end = min(len(text), start + length)
    if end < len(text):
        space = text.rfind(" ", start + length * 3 // 4, end)
        end = space if space > 0 else end
    return start, end


def _border(text: str, at: int) -> int:
    """The beginning of the word at or after `at`, or of the sentence a little before."""
    for stop in (". ", "! ", "? ", "。", "। ", "\n"):
        before = text.rfind(stop, max(0, at - 60), at)
        if before >= 0:
            return before + len(stop)
    space = text.find(" ", at, at + 30)
    return space + 1 if space >= 0 else at
