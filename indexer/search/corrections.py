"""Words that an index does not hold, one or two edits from one that it does: "buterfly" is searched as "butterfly".

Only longer words, whose first letter is right: a short word that an index does not hold is more likely a word of another
language, which is to be found by its meaning, than a mistake.
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


class Vocabulary(Protocol):
    """The terms that an index holds."""

    def frequency(self, stream: str, term: str) -> int:
        """The passages that hold it."""
        ...

    def beginning(self, prefix: str) -> Iterable[tuple[str, int]]:
        """Words as written that begin so, with the passages that hold each, most first."""
        ...


def corrected(query: str, langs: Sequence[str], vocabulary: Vocabulary) -> str:
    """The query with each word that the index does not hold written as the nearest one that it does; most often as
    it is."""
    end, pieces = 0, []
    for match in word_matches(query):
        word = match[0]
        if (
            len(word) >= _SHORTEST
            and word.isalpha()
            and _unknown(word, langs, vocabulary.frequency)
        ):
            written = word_terms(word, "")[0].partition(" ")[0]
            if (found := _nearest(written, vocabulary)) is not None:
                pieces += [query[end : match.start()], found]
                end = match.end()
    return "".join([*pieces, query[end:]])


def _unknown(word: str, langs: Sequence[str], frequency: Callable[[str, str], int]) -> bool:
    written = word_terms(word, "")[0]  # most words: no dictionary is asked
    if any(frequency("words", term) for term in written.split()):
        return False
    for lang in langs or ("",):
        words, stems = word_terms(word, lang)
        if unspaced(words):
            return False
        if any(frequency("words", term) for term in words.split()):
            return False
        if any(frequency("stems", term) for term in stems.split()):
            return False
    # a word of the language that no text has is no mistake: "vynalezl" is not a mistyped "vynález"
    return not any(is_known(word.lower(), lang) for lang in langs)


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
