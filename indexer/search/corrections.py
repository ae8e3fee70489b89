"""Words that an index does not hold: one or two edits from one that it does ("buterfly" is searched as "butterfly"), or
put together of words that it does ("Kühlschranktemperatur" as "kühlschrank temperatur").

Only longer words are put right, whose first letter is right: a short word that an index does not hold is more likely a word
of another language, which is to be found by its meaning, than a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from rapidfuzz import process
from rapidfuzz.distance import OSA

from indexer.text.analysis import unspaced, word_matches, word_terms
from indexer.text.lemmas import is_known

__all__ = ["Vocabulary", "corrected"]

_SHORTEST = 6  # letters of a word that may be one edit away from what was meant
_TWICE = 9  # letters of one that may be two away
_PART = 4  # letters of a part of a compound
# What may stand between the parts of a compound, by language.
_LINKS = {
    "de": ("", "s", "n", "es", "en", "er", "e"),
    "nl": ("", "s", "en", "e"),
    "af": ("", "s", "e"),
    "sv": ("", "s", "e", "a", "u"),
    "da": ("", "s", "e"),
    "no": ("", "s", "e"),
    "nn": ("", "s", "e"),
    "fi": ("", "n"),
    "et": ("",),
    "hu": ("",),
}


class Vocabulary(Protocol):
    """The terms that an index holds."""

    def frequency(self, stream: str, term: str) -> int:
        """The passages that hold it."""
        ...

    def beginning(self, prefix: str) -> Iterable[tuple[str, int]]:
        """Words as written that begin so, with the passages that hold each, most first."""
        ...


def corrected(query: str, langs: Sequence[str], vocabulary: Vocabulary) -> str:
    """The query with each word that the index does not hold written as the nearest one that it does, or as the parts
    that it is put together of; most often as it is."""
    end, pieces = 0, []
    for match in word_matches(query):
        word = match[0]
        if len(word) < _SHORTEST or not word.isalpha() or _held(word, langs, vocabulary.frequency):
            continue
        written = word_terms(word, "")[0].partition(" ")[0]
        # a word of the language that no text has is no mistake: "vynalezl" is not a mistyped "vynález"
        known = any(is_known(word.lower(), lang) for lang in langs)
        found = None if known else _nearest(written, vocabulary)
        if found is None:
            found = " ".join(_parts(word.lower(), langs, vocabulary.frequency))
        if found:
            pieces += [query[end : match.start()], found]
            end = match.end()
    return "".join([*pieces, query[end:]])


def _held(word: str, langs: Sequence[str], frequency: Callable[[str, str], int]) -> bool:
    """Whether the index holds the word or its stem; also of a script without spaces, whose words nobody knows."""
    written = word_terms(word, "")[0]  # most words: no dictionary is asked
    if any(frequency("words", term) for term in written.split()):
        return True
    for lang in langs or ("",):
        words, stems = word_terms(word, lang)
        if unspaced(words):
            return True
        if any(frequency("words", term) for term in words.split()):
            return True
        if any(frequency("stems", term) for term in stems.split()):
            return True
    return False


def _parts(
    word: str, langs: Sequence[str], frequency: Callable[[str, str], int]
) -> tuple[str, ...]:
    """The two words of the index that a compound is put together of; none if it is not.

    Of several ways to part it the one whose last word, which says what the thing is, is longest.
    """
    for lang in langs:
        for cut in range(_PART, len(word) - _PART + 1) if lang in _LINKS else ():
            last = word[cut:]
            if not _is_word(last, lang, frequency):
                continue
            for link in _LINKS[lang]:
                first = word[: cut - len(link)]
                if (
                    len(first) >= _PART
                    and word[:cut].endswith(link)
                    and _is_word(first, lang, frequency)
                ):
                    return first, last
    return ()


def _is_word(text: str, lang: str, frequency: Callable[[str, str], int]) -> bool:
    """Whether the index holds this as it is written, or another form of this word of the language: half a word may
    have the stem of another."""
    written = word_terms(text, "")[0]
    if any(frequency("words", term) for term in written.split()):
        return True
    return is_known(text, lang) and _held(text, (lang,), frequency)


def _nearest(word: str, vocabulary: Vocabulary) -> str | None:
    """The word of the fewest edits, and of those the one in most passages.

    An edit adds, takes out or changes a letter, or swaps it with the next (optimal string alignment).
    """
    most = 2 if len(word) >= _TWICE else 1
    shortest, longest = len(word) - most, len(word) + most
    for prefix in (word[:2], word[:1]):
        held = {
            term: passages
            for term, passages in vocabulary.beginning(prefix)
            if shortest <= len(term) <= longest
        }
        found = process.extract(
            word, held.keys(), scorer=OSA.distance, score_cutoff=most, limit=len(held)
        )
        near = [(count, -held[term], term) for term, count, _ in found if term.isalpha()]
        if near:
            return min(near)[2]
    return None
