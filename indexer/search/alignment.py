"""Word alignment, the third signal: static late interaction.

Each word of a query is matched with the nearest token of a passage, in the token space of a static student, which
holds all languages:

    score = sum over query words of weight x min(1, max over the passage's tokens of cosine / 0.9), by the sum of weights

It is ColBERT's MaxSim (Khattab and Zaharia 2020) without a transformer. A word's weight is the length of its vector,
which training learned, to the power of 1.5, times its soft idf: how few passages of a sample of the index hold anything
near it. A word of several tokens is one unit, the sum of their vectors; in a script without spaces each token is one.
Above 0.9 a cosine counts as 1, since the word itself must not outscore its translation; docs/alignment.md has the
measurements.

It knows no word order and no context. A query without a token that the student knows scores 0 everywhere.
"""

from __future__ import annotations

import collections
import functools
import threading
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.encoders.static_encoder import StaticEncoder
from indexer.encoders.token_vectors import TokenTable
from indexer.schema import Answer, Keys, Matrix, Query, Scores
from indexer.storage.passage_tokens import TokenSets
from indexer.text.analysis import unspaced, word_matches
from indexer.vectors import product, unit_rows

__all__ = ["SAMPLE", "Alignment", "Units", "answers", "units"]

SAMPLE, TEXT = 256, 48  # passages that a word's soft idf is estimated on, and tokens of each
LENGTH = 1.5  # power of a vector's length in a word's weight
SAME = 0.9  # cosine from which a word counts as found: a good translation is worth as much as the word itself
WORDS = 64  # words of a query that are aligned: of a longer one, those with the longest vectors
POWER = 4  # of the cosine, in the soft idf: a passage with a word at cosine 0.5 counts 1/16
SYLLABLE = 4  # letters from which a token that is part of a word is shown as an answer
_KEPT = 256  # queries whose words and weights are kept


class Units(NamedTuple):
    """The words of a query that can be aligned, in order, each different one once; (n,) each."""

    words: list[str]
    lengths: NDArray[np.float32]
    """Of the words' vectors, the sums of those of their tokens."""
    vectors: Matrix
    """(n + pieces, dim), unit length: of the words, then of the tokens of the words that have several."""
    divided: NDArray[np.int64]
    """Which words have several tokens."""
    starts: NDArray[np.int64]
    """Where the tokens of each of these begin among the pieces."""

    def joined(self, nearest: Matrix) -> Matrix:
        """(passages, n + pieces) -> (passages, n): a word of several tokens is as near as its vector, or as all of
        its tokens are."""
        words = nearest[:, : len(self.words)]
        if len(self.divided):
            pieces = nearest[:, len(self.words) :]
            together = np.minimum.reduceat(pieces, self.starts, axis=1)
            words[:, self.divided] = np.maximum(words[:, self.divided], together)
        return words


def units(text: str, student: StaticEncoder, table: TokenTable) -> Units:
    """The words of a query; of a long one the `WORDS` with the longest vectors."""
    ids: dict[bytes, tuple[str, NDArray[np.int32]]] = {}
    for word, _, tokens in _words(text, student, table):
        ids.setdefault(tokens.tobytes(), (word, tokens))
    words = [word for word, _ in ids.values()]
    tokens_of = [tokens for _, tokens in ids.values()]
    sums = _sums(tokens_of, table)
    lengths = np.sqrt(np.einsum("ij,ij->i", sums, sums))
    if len(words) > WORDS:
        kept = np.sort(np.argsort(-lengths, kind="stable")[:WORDS])
        words, tokens_of = [words[i] for i in kept], [tokens_of[i] for i in kept]
        sums, lengths = sums[kept], lengths[kept]
    divided = np.flatnonzero([len(tokens) > 1 for tokens in tokens_of])
    pieces = [tokens_of[i] for i in divided]
    starts = np.cumsum([0, *map(len, pieces)])[:-1]
    vectors = np.concatenate(
        [unit_rows(table.neutral(sums)), *(table.unit_rows(tokens) for tokens in pieces)]
    )
    return Units(words, lengths, vectors, divided, starts)


def _sums(words: Sequence[NDArray[np.int32]], table: TokenTable) -> Matrix:
    """The vector of each word, the sum of those of its tokens; (len(words), dim)."""
    if not words:
        return np.zeros((0, table.dim), np.float32)
    starts = np.cumsum([0, *map(len, words[:-1])])
    return np.add.reduceat(table.vectors(np.concatenate(words)), starts, axis=0)


def _words(
    text: str, student: StaticEncoder, table: TokenTable
) -> list[tuple[str, tuple[int, int], NDArray[np.int32]]]:
    """Each word with where it stands and its known tokens; in a script without spaces, each token."""
    matches = list(word_matches(text))
    found = []
    for match, tokens in zip(matches, student.tokens([match[0] for match in matches]), strict=True):
        known = tokens[table.known[tokens]]
        if not len(known):
            continue
        if len(known) > 1 and unspaced(match[0]):
            found += _pieces(match[0], match.start(), known, student)
        else:
            found.append((match[0], match.span(), known))
    return found


def _pieces(
    word: str, start: int, tokens: NDArray[np.int32], student: StaticEncoder
) -> list[tuple[str, tuple[int, int], NDArray[np.int32]]]:
    """The tokens of a run of letters without spaces, each where it stands."""
    at, found = 0, []
    folded = word.lower()
    for token in tokens:
        piece = student.piece(int(token)).lstrip("\u2581")
        place = folded.find(piece, at) if len(folded) == len(word) else -1
        if place < 0:  # compatibility forms were unified: the whole run stands for the token
            place, stop = 0, len(word)
        else:
            at = stop = place + len(piece)
        found.append((word[place:stop], (start + place, start + stop), token[None]))
    return found


class Tokens(Protocol):
    """The tokens of the passages of one index."""

    def take(self, rows: Keys) -> TokenSets:
        """Of the passages of these keys, in their order."""
        ...


class Alignment:
    """Scores passages of one index by their words. Satisfies `indexer.schema.Scorer`; safe from several threads."""

    def __init__(
        self, tokens: Tokens, live: NDArray[np.bool_], student: StaticEncoder, table: TokenTable
    ) -> None:
        """`tokens`: of every row of the index; `live` marks the rows that are not deleted."""
        self.student = student
        self.table = table
        self._tokens = tokens
        self._live = live
        self._sample: _Sample | None = None
        self._queries: collections.OrderedDict[str, tuple[Units, NDArray[np.float32]]] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def score(self, query: Query, keys: Keys) -> Scores:
        """How near the query's words are to each passage's, in [0, 1]; (len(keys),)."""
        words, weights = self._prepared(query.text)
        total = float(weights.sum())
        if not len(keys) or total <= 0:
            return np.zeros(len(keys))
        places = _Places.of(self._tokens.take(keys), len(self.table.known))
        cosines = self.table.cosines(words.vectors, places.unique)
        nearest = words.joined(places.nearest(cosines))
        return np.asarray(np.clip(nearest / SAME, 0, 1), np.float64) @ (weights / total)

    def weights(self, text: str) -> dict[str, float]:
        """The share of each word of a query in its score."""
        words, weights = self._prepared(text)
        total = float(weights.sum())
        return dict(zip(words.words, (weights / total).tolist(), strict=True)) if total > 0 else {}

    def _prepared(self, text: str) -> tuple[Units, NDArray[np.float32]]:
        """The words of a query and their weights, kept for the next page of hits."""
        with self._lock:
            if text in self._queries:
                self._queries.move_to_end(text)
                return self._queries[text]
        words = units(text, self.student, self.table)
        made = words, words.lengths**LENGTH * self._soft_idf(words)
        with self._lock:
            self._queries[text] = made
            if len(self._queries) > _KEPT:
                self._queries.popitem(last=False)
        return made

    def _soft_idf(self, words: Units) -> NDArray[np.float32]:
        """log((passages + 1) / (df + 1/2)), where a passage of the sample adds its nearest cosine ** 4 to df."""
        sample = self._sampled()
        near = words.joined(sample.places.nearest(product(sample.rows, words.vectors.T)))
        df = (np.maximum(near, 0) ** POWER).sum(axis=0)
        return np.asarray(np.maximum(np.log((len(near) + 1) / (df + 0.5)), 0), np.float32)

    def _sample_rows(self, rng: np.random.Generator) -> Keys:
        """The keys of at most `SAMPLE` passages that stand for all."""
        rows = np.flatnonzero(self._live)
        return rows if len(rows) <= SAMPLE else np.sort(rng.choice(rows, SAMPLE, replace=False))

    def _sampled(self) -> _Sample:
        if self._sample is None:
            rng = np.random.default_rng(0)
            rows = self._sample_rows(rng)
            places = _Places.of(_thinned(self._tokens.take(rows), rng), len(self.table.known))
            self._sample = _Sample(places, self.table.unit_rows(places.unique))
        return self._sample


class _Places(NamedTuple):
    """The tokens of passages, each different one once."""

    unique: NDArray[np.int32]
    place: NDArray[np.int32]
    """Of each token in `unique`, one passage after another."""
    borders: NDArray[np.int64]

    @classmethod
    def of(cls, sets: TokenSets, tokens: int) -> _Places:
        """`tokens`: how many there are at all."""
        flat = np.minimum(sets.flat, tokens - 1)  # a damaged file names more
        asked = np.zeros(tokens, np.bool_)
        asked[flat] = True
        unique = np.flatnonzero(asked).astype(np.int32)
        place = np.empty(tokens, np.int32)
        place[unique] = np.arange(len(unique), dtype=np.int32)
        return cls(unique, place[flat], sets.borders)

    def nearest(self, cosines: Matrix) -> Matrix:
        """The highest of each column of `cosines` (unique, n) in each passage; 0 for a passage without tokens."""
        filled = np.diff(self.borders) > 0
        out = np.zeros((len(filled), cosines.shape[1]), np.float32)
        if len(self.place) and cosines.shape[1]:
            all_of_them = np.take(cosines, self.place, axis=0)  # (tokens, n)
            out[filled] = np.maximum.reduceat(all_of_them, self.borders[:-1][filled], axis=0)
        return out


class _Sample(NamedTuple):
    """Passages of the index that stand for all of it, unpacked."""

    places: _Places
    rows: Matrix
    """Unit rows of `places.unique`."""


def _thinned(sets: TokenSets, rng: np.random.Generator) -> TokenSets:
    """At most `TEXT` random tokens of each passage: a long passage must not count for more."""
    passage = np.repeat(np.arange(len(sets.borders) - 1), np.diff(sets.borders))
    order = np.lexsort((rng.random(len(passage)), passage))
    rank = np.arange(len(passage)) - sets.borders[:-1][passage]
    kept = np.sort(order[rank < TEXT])
    owners = passage[kept]
    borders = np.searchsorted(owners, np.arange(len(sets.borders)))
    return TokenSets(sets.flat[kept], borders.astype(np.int64))


@functools.lru_cache(maxsize=16)  # a page asks the same of each of its hits
def _asked(query: str, student: StaticEncoder, table: TokenTable) -> Units:
    return units(query, student, table)


def answers(query: str, text: str, student: StaticEncoder, table: TokenTable) -> list[Answer]:
    """For each word of the query, in order, the word of the text that is nearest to it.

    A longer word may answer by one of its tokens ("haus" in "Krankenhaus"), but not by a syllable ("se" in "Seoul").
    """
    asked = _asked(query, student, table)
    found = _words(text, student, table)
    if not asked.words or not found:
        return []
    tokens_of = [tokens for _, _, tokens in found]
    flat = np.concatenate(tokens_of)
    starts = np.cumsum([0, *map(len, tokens_of[:-1])])
    cosines = table.cosines(asked.vectors, flat)
    cosines[_syllables(tokens_of, student)] = -1.0
    by_token = np.maximum.reduceat(cosines, starts, axis=0)
    whole = unit_rows(table.neutral(_sums(tokens_of, table))) @ asked.vectors.T
    near = np.maximum(by_token, whole)[:, : len(asked.words)]  # (words of the text, of the query)
    best = near.argmax(axis=0)
    made = []
    for i, (word, at) in enumerate(zip(asked.words, best.tolist(), strict=True)):
        answer, (start, end), _ = found[at]
        made.append(Answer(word, answer, start, end, min(1.0, max(0.0, float(near[at, i])))))
    return made


def _syllables(words: Sequence[NDArray[np.int32]], student: StaticEncoder) -> NDArray[np.bool_]:
    """For each token of the words, whether it is but a short part of one."""
    return np.array(
        [
            len(word) > 1 and len(student.piece(int(token)).lstrip("\u2581")) < SYLLABLE
            for word in words
            for token in word
        ],
        bool,
    )
