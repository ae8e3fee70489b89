"""Words that an index does not hold, one or two edits from one that it does: "buterfly" is searched as "butterfly".

Only longer words, whose first letter is right: a short word that an index does not hold is more likely a word of another
language, which is to be found by its meaning, than a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from indexer.text.analysis import unspaced, word_matches, word_terms
from indexer.text.lemmas import is_known

__all__ = ["Vocabulary", "corrected", "edits"]

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
    """The word of the fewest edits, and of those the one in most passages."""
    most = 2 if len(word) >= _TWICE else 1
    for prefix in (word[:2], word[:1]):
        near: tuple[int, int, str] | None = None
        for term, held in vocabulary.beginning(prefix):
            if abs(len(term) - len(word)) <= most and term.isalpha():
                count = edits(word, term, most)
                if count <= most and (near is None or (count, -held, term) < near):
                    near = count, -held, term
        if near is not None:
            return near[2]
    return None


def edits(one: str, other: str, most: int) -> int:
    """Letters to add, take out, change or swap with the next to make one of the other; any number above `most`
    stands for more."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row = row, [i]
        for j, b in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and b == one[i - 2]:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before = last
    return row[-1]
