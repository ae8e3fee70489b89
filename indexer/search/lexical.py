"""The search by words, with tantivy: BM25 over the two streams of `indexer.text.analysis`.

A tantivy folder holds words only; texts stand in the store. Its files never change once written, so a
commit's folder is the one before it, hard-linked, with new files beside: the old commit stays whole.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import IndexFolderError
from indexer.schema import Bounds, Candidates, Counted, Keys, Query, Scores, Term, Where
from indexer.search.filters import Allowed, RowFilters
from indexer.text.analysis import Analysis

__all__ = ["K1", "LexicalIndex", "LexicalWriter", "bound", "by_language", "idf"]

K1 = 1.2  # tantivy's own, and b = 0.75
# Bytes that a thread of tantivy's writer may fill before it writes a segment; taken as they are needed. A
# query pays for each segment: of 500,000 passages in 8 of them (two threads, 96 MB each) one took 1.0 ms, in
# one 0.6 ms. Segments that tantivy merges cost as much again as to write them, so they are large at once.
_HEAP = 400_000_000
# Rows that are named to tantivy one by one: 1,000 of 300,000 take it 6 ms, 5,000 of them 37 ms. Of a filter that lets
# more rows through, the best are taken until enough of them pass: 10,000 take 6 ms.
_FEW = 1000
_SAYS_SOMETHING = 0.5  # the weight of a word; most words that are not grammar have 0.7 to 1
_DIGITS = 4  # tantivy adds float32 terms in an order that depends on its segments


def _schema() -> Any:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("row", stored=False, indexed=True, fast=True)
    builder.add_text_field("document", stored=False, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("lang", stored=False, tokenizer_name="raw", index_option="basic")
    # older versions filtered by it; a commit's folder goes on with the files, and so the schema, of the one before
    builder.add_text_field("field", stored=False, tokenizer_name="raw", index_option="basic")
    for stream in ("words", "stems"):
        builder.add_text_field(
            stream, stored=False, tokenizer_name="whitespace", index_option="freq"
        )
    return builder.build()


Frequency = Callable[[str, str], int]
"""(stream, term) -> the passages that hold it."""


def idf(holding: int, passages: int) -> float:
    """ln(1 + (N - n + 0.5) / (n + 0.5)), as Lucene has it; of a word in every passage nearly 0."""
    return math.log1p((max(passages, holding) - holding + 0.5) / (holding + 0.5))


def by_language(
    terms: Sequence[Term], frequency: Frequency, passages: int, mine: int
) -> list[Term]:
    """The terms of a query weighed for an engine that knows one idf: each gets that of its language, of `mine`
    passages. A stop word of a language that is a tenth of a collection is not rare.

    With `indexer.encoders.word_weights` by words alone, before and after: demo .169 .172, headlines .266 .280, MGSM
    .207 .221, NTREX-128 .094 .101 (nDCG@10); by both there is no difference.
    """
    if mine >= passages:
        return list(terms)
    found = []
    for term in terms:
        n = frequency(term.stream, term.text)
        share = idf(n, mine) / idf(n, passages) if n else 1.0
        found.append(Term(term.stream, term.text, term.weight * share))
    return found


def bound(words: Iterable[Sequence[Counted]], frequency: Frequency, passages: int) -> float:
    """The BM25 that a passage nears which repeats every word of a query without end: weight x idf x (k1 + 1) each.

    Of a word and what stands for it (its dictionary form, another spelling) the first that the index holds counts.
    A word that it does not hold counts with the idf of a word seen nowhere, so that a query of which little is known
    here scores little; but not so the stem of one that it does hold: that is of another language. Of a query that
    says little, "what is the", little is matched by whatever has all its words. `passages`: of the query's languages.
    """
    total = heaviest = 0.0
    for word in words:
        seen = False
        for stream, terms, weight in word:
            heaviest = max(heaviest, weight)
            n = next((n for term in terms if (n := frequency(stream, term))), 0)
            if stream == "words":
                seen = seen or n > 0
            elif seen and not n:
                continue
            total += weight * idf(n, passages)
    return total * (K1 + 1) * max(1.0, _SAYS_SOMETHING / heaviest if heaviest > 0 else 1.0)


class LexicalWriter:
    """Adds to and deletes from a copy of a tantivy folder; `finish` closes it as a new commit's folder."""

    def __init__(self, folder: Path, index: Any, threads: int) -> None:
        import tantivy

        self.folder = folder
        self._tantivy = tantivy
        self._index = index
        self._writer = index.writer(heap_size=_HEAP * threads, num_threads=threads)

    @classmethod
    def create(cls, folder: Path, base: Path | None = None, threads: int = 1) -> LexicalWriter:
        """Make `folder`: empty, or with the files of `base`, linked where that can be."""
        import tantivy

        folder.mkdir(parents=True)
        if base is not None:
            for file in sorted(base.iterdir()):
                if not file.name.startswith(".tantivy"):
                    _link(file, folder / file.name)
        return cls(folder, tantivy.Index(_schema(), path=str(folder)), threads)

    def add(self, row: int, document: str, lang: str, analysis: Analysis) -> None:
        entry = self._tantivy.Document(row=row, document=document, lang=lang)
        entry.add_text("words", analysis.words)
        entry.add_text("stems", analysis.stems)
        self._writer.add_document(entry)

    def delete(self, document: str) -> None:
        self._writer.delete_documents_by_term("document", document)

    def finish(self) -> None:
        self._writer.commit()
        self._writer.wait_merging_threads()
        del self._writer, self._index
        for lock in self.folder.glob(".tantivy*"):
            lock.unlink()

    def abandon(self) -> None:
        """Give up: on a full disk tantivy's writer is dead already, and says so again."""
        if not hasattr(self, "_writer"):
            return
        with contextlib.suppress(ValueError):
            self._writer.rollback()
            self._writer.wait_merging_threads()
        del self._writer, self._index


def _link(source: Path, target: Path) -> None:
    # meta.json and .managed.json are replaced, never rewritten; copied all the same, they are small.
    if source.suffix == ".json":
        shutil.copyfile(source, target)
        return
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """What tantivy does on a damaged file, its Rust panics included, as an IndexFolderError."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, ValueError) and type(error).__name__ != "PanicException":
            raise
        raise IndexFolderError(
            f"the index of words is damaged: {error}; see: tandem index verify"
        ) from error


def _links_to(folder: Path) -> Path:
    """A folder of links to the files of one that cannot be written: tantivy makes a lock file to read."""
    linked = Path(tempfile.mkdtemp(prefix="tandem-"))
    for file in folder.absolute().iterdir():
        (linked / file.name).symlink_to(file)
    return linked


def _candidates(found: Sequence[tuple[float, int]]) -> Candidates:
    rows = np.array([row for _, row in found], np.int64)
    return Candidates(rows, np.array([score for score, _ in found], np.float64))


class LexicalIndex:
    """BM25 over passages; keys are row numbers. Satisfies `indexer.schema.Index`."""

    def __init__(self, index: Any, filters: RowFilters | None = None) -> None:
        import tantivy

        self._tantivy = tantivy
        self._filters = filters
        self._schema = index.schema
        self._searcher = index.searcher()
        self._weighed: weakref.WeakKeyDictionary[Query, list[Term]] = weakref.WeakKeyDictionary()

    @classmethod
    def open(cls, folder: Path, filters: RowFilters | None = None) -> LexicalIndex:
        """Open a tantivy folder, one that cannot be written too. IndexFolderError when it is damaged."""
        import tantivy

        with _damage():
            try:
                return cls(tantivy.Index.open(str(folder)), filters)
            except ValueError:
                if os.access(folder, os.W_OK):
                    raise
            linked = _links_to(folder)
            found = cls(tantivy.Index.open(str(linked)), filters)
            weakref.finalize(found, shutil.rmtree, linked, ignore_errors=True)
            return found

    def __len__(self) -> int:
        """Passages that can be found."""
        return int(self._searcher.num_docs)

    # -- what the index holds, for `indexer.search.corrections` --

    def frequency(self, stream: str, term: str) -> int:
        """The passages that hold a term."""
        with _damage():
            return int(self._searcher.doc_freq(stream, term))

    def beginning(self, prefix: str) -> list[tuple[str, int]]:
        """Words as written that begin so, with the passages that hold each, most first."""
        with _damage():
            return list(self._searcher.terms_with_prefix("words", prefix))

    def holding(self, groups: Sequence[Sequence[str]]) -> NDArray[np.int64]:
        """The rows of all passages whose words as written hold one term of each group."""
        if not self._searcher.num_docs:
            return np.zeros(0, np.int64)
        must = self._tantivy.Occur.Must
        every = self._tantivy.Query.boolean_query([(must, self._any("words", g)) for g in groups])
        return np.array([row for _, row in self._run(every, self._searcher.num_docs)], np.int64)

    def _query(self, terms: Sequence[Term]) -> Any:
        build = self._tantivy.Query
        should = self._tantivy.Occur.Should
        clauses = []
        for stream, term, weight in terms:
            clause = build.term_query(self._schema, stream, term, "freq")
            clauses.append((should, clause if weight == 1.0 else build.boost_query(clause, weight)))
        return build.boolean_query(clauses)

    def _any(self, stream: str, values: Collection[Any]) -> Any:
        build = self._tantivy.Query
        clauses = [
            (self._tantivy.Occur.Should, build.term_query(self._schema, stream, value, "basic"))
            for value in values
        ]
        return build.const_score_query(build.boolean_query(clauses), 0.0)

    def _in_languages(self, query: Any, where: Where | None) -> Any:
        if where is None or not where.langs:
            return query
        must = self._tantivy.Occur.Must
        langs = self._any("lang", sorted(where.langs))
        return self._tantivy.Query.boolean_query([(must, query), (must, langs)])

    def _run(self, query: Any, limit: int) -> list[tuple[float, int]]:
        with _damage():
            hits = self._searcher.search(query, limit, count=False).hits
            rows = self._searcher.fast_field_values("row", [address for _, address in hits])
        return [
            (round(score, _DIGITS), int(row or 0))
            for (score, _), row in zip(hits, rows, strict=True)
        ]

    def search(self, query: Query, k: int, where: Where | None = None) -> Candidates:
        if not query.terms or not self._searcher.num_docs:
            return _candidates([])
        prepared = self._in_languages(self._query(self._terms(query)), where)
        if where is None or not where.conditions():
            return _candidates(self._best(prepared, k)[:k])
        assert self._filters is not None, "fields are filtered by an index that has documents"
        allowed = self._filters.allowed(where)
        if allowed is None or not allowed.count:
            return _candidates([])
        if allowed.count <= _FEW:
            must = self._tantivy.Occur.Must
            only = self._any("row", allowed.rows.tolist())
            few = self._tantivy.Query.boolean_query([(must, only), (must, prepared)])
            return _candidates(self._best(few, k)[:k])
        return _candidates(self._passing(prepared, k, allowed)[:k])

    def _best(self, prepared: Any, k: int) -> list[tuple[float, int]]:
        """(score, row) of the k best and more, best first, ties by row."""
        limit = min(k + 16, self._searcher.num_docs)  # room for ties at the border
        found = self._run(prepared, limit)
        while len(found) == limit < min(self._searcher.num_docs, 8 * k + 128) and (
            found[min(k, limit) - 1][0] == found[-1][0]
        ):
            limit = min(limit * 2, self._searcher.num_docs)
            found = self._run(prepared, limit)
        return sorted(found, key=lambda hit: (-hit[0], hit[1]))

    def _passing(self, prepared: Any, k: int, allowed: Allowed) -> list[tuple[float, int]]:
        """`_best` of the rows that a filter allows: enough are taken that k of them should be among those,
        and more until they are, or there are no more.
        """
        total = int(self._searcher.num_docs)
        limit = min(total, int(1.5 * (k + 16) * total / allowed.count) + 1)
        while True:
            found = self._run(prepared, limit)
            passing = [hit for hit in found if allowed.marks[hit[1]]]
            # a tie of the last one wanted may stand beyond what was taken
            settled = len(passing) >= k and passing[k - 1][0] > found[-1][0]
            if settled or len(found) < limit or limit >= total:
                return sorted(passing, key=lambda hit: (-hit[0], hit[1]))
            limit = min(4 * limit, total)

    def search_many(
        self, queries: Sequence[Query], k: int, where: Where | None = None
    ) -> list[Candidates]:
        return [self.search(query, k, where) for query in queries]

    def score(self, query: Query, keys: Keys) -> Scores:
        if not query.terms or not len(keys):
            return np.zeros(len(keys))
        rows = keys.tolist()
        must, should = self._tantivy.Occur.Must, self._tantivy.Occur.Should
        wanted = [(must, self._any("row", rows)), (should, self._query(self._terms(query)))]
        prepared = self._tantivy.Query.boolean_query(wanted)
        found = {row: score for score, row in self._run(prepared, len(rows))}
        return np.array([found.get(row, 0.0) for row in rows])

    def bounds(self, query: Query) -> Bounds:
        """(0, `bound` of the query)."""
        with _damage():
            return 0.0, bound(query.counted, self._searcher.doc_freq, self._spoken(query))

    def _spoken(self, query: Query) -> int:
        """Passages in the languages that the query may be in; all, where it is in none of the index."""
        found = sum(int(self._searcher.doc_freq("lang", lang)) for lang in query.likely)
        return min(found, int(self._searcher.num_docs)) or int(self._searcher.num_docs)

    def _terms(self, query: Query) -> list[Term]:
        """The terms of the query, weighed by their language; worked out once for a query."""
        if (found := self._weighed.get(query)) is None:
            with _damage():
                total = int(self._searcher.num_docs)
                mine = self._spoken(query)
                found = by_language(query.terms, self._searcher.doc_freq, total, mine)
            self._weighed[query] = found
        return found
