"""Which word of a hit answers each word of the query: "nemocnice" is answered by "hospital", 0.96.

By the token vectors of the static student in the package, as the alignment signal scores, and so across languages;
nothing is read of the index.
"""

from __future__ import annotations

import functools
from dataclasses import replace

from indexer.encoders import aligner, token_table
from indexer.schema import Answer, Hit
from indexer.search import answers
from indexer.text import fold, languages
from indexer.text import tokens as written_words

__all__ = ["hit_answers", "near_marks"]

NEAR = 0.5
"""Cosine from which a word is marked as an answer: 1 in 3,000 pairs of random words of the vocabulary reaches it."""


def hit_answers(hit: Hit, query: str) -> tuple[Answer, ...]:
    """For each word of the query, in order, the nearest word of the hit's title and passage.

    `start` and `end` are characters of the passage; both are -1 for a word of the title. Empty where words are
    not aligned: the hit has no such score.
    """
    if "alignment" not in hit.parts:
        return ()
    return _answers(query, hit.document.title, hit.passage.text)


def near_marks(text: str, query: str, lang: str) -> list[tuple[int, int]]:
    """(start, end) of the words of `text` that answer the query in another language than its own, in order.

    Empty for a text in the likeliest language of the query, whose words are found as they are written.
    """
    if not _is_other(query, lang):
        return []
    little = {
        fold(word) for word, _, _ in written_words(query) if len(word) <= 3 and word.islower()
    }
    return sorted(
        {
            (answer.start, answer.end)
            for answer in _answers(query, "", text)
            if answer.similarity >= NEAR and fold(answer.word) not in little
        }
    )


@functools.lru_cache(maxsize=1024)
def _is_other(query: str, lang: str) -> bool:
    chances = languages.distribution(query)
    return bool(lang) and chances.get(lang, 0.0) < max(chances.values(), default=0.0)


@functools.lru_cache(maxsize=256)  # a page asks for marks and for reasons
def _answers(query: str, title: str, text: str) -> tuple[Answer, ...]:
    student = aligner()
    if student is None:
        return ()
    before = len(title) + 1 if title else 0
    found = answers(query, f"{title}\n{text}" if title else text, student, token_table())
    return tuple(
        replace(answer, start=answer.start - before, end=answer.end - before)
        if answer.start >= before
        else replace(answer, start=-1, end=-1)
        for answer in found
    )
