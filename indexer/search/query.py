"""A query, prepared once for everything that asks about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.schema import Counted, Encoder, Term, TokenEncoder
from indexer.search.corrections import Vocabulary, corrected
from indexer.text import languages
from indexer.text.analysis import TWO_ALPHABETS, Weigh, counted_terms, weighted_terms
from indexer.text.spelling import TURKIC, lower

__all__ = ["PreparedQuery", "prepared"]


def prepared(
    texts: Sequence[str],
    encoder: Encoder,
    index_languages: Sequence[str],
    word_weight: float = 1.0,
    weigh: Weigh | None = None,
    vocabulary: Vocabulary | None = None,
) -> list[PreparedQuery]:
    """A query for each text; the first vector that is needed encodes all of them in one call.

    `index_languages`: those of the documents; `word_weight`: of a word as written, where its stem has 1;
    `weigh`: how much each word of a query says, all the same where it is None; `vocabulary`: by which words
    are put right.
    """
    vectors = _Vectors(encoder)
    known = tuple(index_languages)
    queries = [
        PreparedQuery(text, vectors, known, word_weight, weigh, vocabulary) for text in texts
    ]
    vectors.queries = queries
    return queries


class _Vectors:
    """The vectors of queries that came together: encoded in one call, when the first is needed."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.queries: Sequence[PreparedQuery] = ()
        self._found: dict[str, NDArray[np.float32]] | None = None

    def of(self, text: str) -> NDArray[np.float32]:
        if self._found is None:
            texts = list(dict.fromkeys(query.text for query in self.queries))
            self._found = dict(zip(texts, self.encoder.encode(texts, kind="query"), strict=True))
        return self._found[text]


class PreparedQuery:
    """Satisfies `indexer.schema.Query`; made by `prepared`.

    Two threads may use one: at worst a part is made twice, and alike.
    """

    def __init__(
        self,
        text: str,
        vectors: _Vectors,
        index_languages: tuple[str, ...],
        word_weight: float,
        weigh: Weigh | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        self.text = text
        self._vectors = vectors
        self._index_languages = index_languages
        self._word_weight = word_weight
        self._weigh = weigh
        self._vocabulary = vocabulary
        self._searched: str | None = None
        self._languages: Mapping[str, float] | None = None
        self._own: tuple[str, ...] | None = None
        self._terms: Sequence[Term] | None = None
        self._counted: Sequence[Sequence[Counted]] | None = None
        self._tokens: NDArray[np.int32] | None = None

    @property
    def searched(self) -> str:
        if self._searched is None:
            text = self.text
            if self._vocabulary is not None:
                text = corrected(text, self.likely, self._vocabulary)
            self._searched = text  # once whole: the other thread must not see it uncorrected
        return self._searched

    @property
    def languages(self) -> Mapping[str, float]:
        if self._languages is None:
            self._languages = self._find_languages()
        return self._languages

    def _find_languages(self) -> Mapping[str, float]:
        """Capitals say little of a language, and Turkish ones are not made small as others are."""
        text, known = self.text, self._index_languages
        if not text.isupper():
            return languages.distribution(text, known)
        chances = languages.distribution(text.lower(), known)
        turkic = TURKIC.intersection(known) if "I" in text else ()
        if turkic:
            otherwise = languages.distribution(lower(text, "tr"), known)
            chances |= {lang: otherwise.get(lang, 0.0) for lang in turkic}
        return chances

    @property
    def likely(self) -> tuple[str, ...]:
        if self.own or not self._index_languages:
            return self.own
        return (max(self._index_languages, key=lambda lang: self.languages.get(lang, 0.0)),)

    @property
    def own(self) -> tuple[str, ...]:
        if self._own is None:
            self._own = self._find_own()
        return self._own

    def _find_own(self) -> tuple[str, ...]:
        """The languages of the index at least a fifth as probable as the most probable language; for a query in
        Cyrillic, those too that are written in both alphabets."""
        known = self._index_languages
        top = max(self.languages.values(), default=0.0)
        if not top:
            return known
        found = [lang for lang in known if self.languages.get(lang, 0.0) >= 0.2 * top]
        if any("\u0400" <= letter <= "\u04ff" for letter in self.text):
            found += [lang for lang in known if lang in TWO_ALPHABETS and lang not in found]
        return tuple(found)

    @property
    def terms(self) -> Sequence[Term]:
        if self._terms is None:
            self._terms = weighted_terms(self.searched, self.likely, self._word_weight, self._weigh)
        return self._terms

    @property
    def counted(self) -> Sequence[Sequence[Counted]]:
        if self._counted is None:
            self._counted = counted_terms(
                self.searched, self.likely, self._word_weight, self._weigh
            )
        return self._counted

    @property
    def tokens(self) -> NDArray[np.int32]:
        if self._tokens is None:
            encoder = self._vectors.encoder
            if isinstance(encoder, TokenEncoder):
                self._tokens = encoder.tokens([self.searched])[0]
            else:
                self._tokens = np.zeros(0, np.int32)
        return self._tokens

    @property
    def vector(self) -> NDArray[np.float32]:
        return self._vectors.of(self.text)
