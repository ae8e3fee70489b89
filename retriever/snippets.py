"""The part of a passage to show for a query, with the words that matched marked.

A word is marked when its folded form or one of its stems is among the query's, by the document's
language: what the search by words would match. In a hit of another language than the query's, words that answer
the query are marked too (`retriever.word_answers`), as near ones. The text is given as segments, never as markup.
"""

from __future__ import annotations

import enum
import functools
import unicodedata
from dataclasses import dataclass

from indexer.schema import Hit
from indexer.text.analysis import (
    fold,
    parts,
    query_terms,
    terms_of,
    tokens,
    unspaced,
    word_matches,
    word_terms,
)
from retriever.word_answers import near_marks

__all__ = ["Mark", "all_marks", "marks", "snippet"]


class Mark(enum.IntEnum):
    """How a part of a text is marked."""

    NONE = 0
    EXACT = 1
    """A word that the query names."""
    NEAR = 2
    """A word of another language that answers one of the query."""


def marks(text: str, query: str, lang: str) -> list[tuple[int, int]]:
    """(start, end) of each word of `text` that the query names, in order."""
    wanted = _wanted(query, lang)
    matches = list(word_matches(text))
    words = [match[0] for match in matches]
    found = []
    for match, word, (terms, stems) in zip(matches, words, terms_of(words, lang), strict=True):
        if _names(wanted, word, terms, stems):
            found += _within(text, word, match.start(), wanted, lang)
    return found


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The terms of a query whose words are marked; `little` are words that never are."""

    words: frozenset[str]
    stems: frozenset[str]
    little: frozenset[str]


@functools.lru_cache(maxsize=1024)  # the hits of a page have few languages
def _wanted(query: str, lang: str) -> _Wanted:
    words, stems = query_terms(query, [lang])
    longer = frozenset(stem for stem in stems if len(stem) > 1)
    return _Wanted(frozenset(words), longer, _unmarked(query, frozenset(words)))


def _names(wanted: _Wanted, word: str, terms: str, stems: str) -> bool:
    """Whether one of a word's terms is among the query's."""
    if terms not in wanted.words and stems not in wanted.stems:
        if " " not in terms and " " not in stems:
            return False
        if wanted.words.isdisjoint(terms.split()) and wanted.stems.isdisjoint(stems.split()):
            return False
    return terms != "" and not (word.isalnum() and terms.partition(" ")[0] in wanted.little)


def _within(text: str, word: str, start: int, wanted: _Wanted, lang: str) -> list[tuple[int, int]]:
    """What to mark of a word that the query names: the parts that it names, or else all of it."""
    if word.isalnum() and word.isascii():
        return [(start, start + len(word))]
    found: list[tuple[int, int]] = []
    spans = parts(word)
    spaceless = False
    for first, last in spans:
        terms, stems = word_terms(word[first:last], lang)
        if any(map(unspaced, terms.split())):  # the characters of the matching bigrams
            spaceless = last - first > 1
            found += _bigram_marks(text, start + first, start + last, wanted.words)
        elif len(spans) == 1 or _names(wanted, word[first:last], terms, stems):
            found.append((start + first, start + last))
    return found or ([] if spaceless else [(start, start + len(word))])


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


def all_marks(text: str, query: str, lang: str, aligned: bool) -> list[tuple[int, int, Mark]]:
    """(start, end, mark) of each marked word of `text`, in order; none overlap. `aligned`: near ones too."""
    exact = marks(text, query, lang)
    found = [(start, end, Mark.EXACT) for start, end in exact]
    for start, end in near_marks(text, query, lang) if aligned else ():
        if not any(first < end and start < last for first, last in exact):
            found.append((start, end, Mark.NEAR))
    return sorted(found)


def snippet(hit: Hit, query: str, length: int = 280) -> list[tuple[str, Mark]]:
    """About `length` characters of the hit's passage, as (text, mark) segments; "..." where it is cut.

    Characters that stand in two columns, as Chinese and Japanese ones do, count twice: snippets of all scripts are of about the
    same height. The window holds the most different marked words; without any, it is the passage's beginning.
    """
    text = hit.passage.text
    found = all_marks(text, query, hit.document.lang, "alignment" in hit.parts)
    start, end = _window(text, [(first, last) for first, last, _ in found], _fitting(text, length))
    segments: list[tuple[str, Mark]] = []
    if start > 0 or hit.passage.start > 0:
        segments.append(("… ", Mark.NONE))
    at = start
    for first, last, mark in found:
        if first < at or last > end:
            continue
        if first > at:
            segments.append((_line(text[at:first]), Mark.NONE))
        segments.append((_line(text[first:last]), mark))
        at = last
    if at < end:
        segments.append((_line(text[at:end]), Mark.NONE))
    if end < len(text):
        segments.append((" …", Mark.NONE))
    return [segment for segment in segments if segment[0]]


def _fitting(text: str, columns: int) -> int:
    """How many characters of a text fill so many columns, by its beginning (UAX #11, East Asian Width)."""
    beginning = text[:100]
    if not beginning or beginning.isascii():
        return columns
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in beginning)
    return round(columns * len(beginning) / (len(beginning) + wide))


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
