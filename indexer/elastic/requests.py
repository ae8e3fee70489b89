"""Searches as Elasticsearch takes them, and what its answers hold. Pure functions of plain data."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.elastic.mapping import language_field
from indexer.schema import Term

__all__ = [
    "LARGEST",
    "Filter",
    "Found",
    "Terms",
    "by_meaning",
    "by_words",
    "document_key",
    "found_in",
    "frequencies",
    "packed_tokens",
    "passage_key",
    "searched_languages",
    "tokens_in",
    "vectors_in",
]

LARGEST = 10_000  # hits a search gives at most (index.max_result_window)
_TIES = 16  # asked for beyond k, so that equal scores at the border are settled by key
_CLAUSES = 2_000  # pairs of a term and a language's field that one search looks for
_WIDEST_KEY = 480  # bytes; Elasticsearch allows 512
_FIELDS = ["key", "document", "lang"]

Terms = Sequence[Term]
Filter = Mapping[str, Any]
"""A condition that holds or does not, and changes no score."""


@dataclass(frozen=True, slots=True)
class Found:
    """Passages that a search found, best first, ties by key; (n,) each."""

    keys: list[str]
    documents: list[str]
    langs: list[str]
    scores: NDArray[np.float64]


def document_key(document: str) -> str:
    """The id of a document's entry: the document's own, or its hash where that is too long."""
    if len(document.encode("utf-8", "surrogatepass")) <= _WIDEST_KEY:
        return f"d:{document}"
    digest = hashlib.sha256(document.encode("utf-8", "surrogatepass")).hexdigest()
    return f"D:{digest}"  # no id of a document gives this key another way


def passage_key(document: str, number: int) -> str:
    """The id of a passage's entry; those of a document sort in the order of its text."""
    kind, rest = document_key(document).split(":", 1)
    return f"{'p' if kind == 'd' else 'P'}:{rest}#{number:06}"


# -- requests --------------------------------------------------------------------------------------


def searched_languages(terms: Terms, langs: Collection[str], likely: Collection[str]) -> list[str]:
    """The languages whose words are searched: all of an index, or for a long query those it may be in."""
    return sorted(langs if len(terms) * len(langs) <= _CLAUSES else likely)


def by_words(
    terms: Terms,
    langs: Sequence[str],
    size: int,
    filters: Sequence[Filter] = (),
    keys: Sequence[str] | None = None,
) -> dict[str, Any]:
    """BM25 over the words of these languages: the sum over the terms, each with its language's idf.

    A passage has words in one language's fields only, so the sum over all fields is that language's.
    `keys`: only these passages are scored.
    """
    groups: dict[tuple[str, float], list[str]] = {}
    for stream, term, weight in terms:
        groups.setdefault((stream, weight), []).append(term)
    clauses = [
        {
            "multi_match": {
                "query": " ".join(words),
                "fields": [f"{stream}.{language_field(lang)}" for lang in langs],
                "type": "most_fields",
                "boost": weight,
            }
        }
        for (stream, weight), words in groups.items()
        if weight > 0
    ]
    allowed = _with_keys(filters, keys)
    query: dict[str, Any] = {"bool": {"should": clauses, "minimum_should_match": 1}}
    if allowed:
        query["bool"]["filter"] = allowed
    return {
        "query": query,
        "sort": [{"_score": "desc"}, {"key": "asc"}],
        "track_total_hits": False,
        **_page(size if keys is not None else size + _TIES),
    }


def by_meaning(
    vector: NDArray[np.float32],
    size: int,
    oversample: float,
    filters: Sequence[Filter] = (),
    keys: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The nearest vectors by exact cosine among the candidates of the quantised graph.

    With `keys` only these passages are scored, all of them and exactly: Lucene compares one by one when
    fewer pass a filter than candidates are wanted.
    """
    size = min(size + (0 if keys is not None else _TIES), LARGEST)
    oversample = 1.0 if keys is not None else max(1.0, min(oversample, LARGEST / size))
    knn: dict[str, Any] = {
        "field": "vector",
        "query_vector": vector.tolist(),
        "k": max(size, 1),
        "num_candidates": min(LARGEST, max(100, int(size * oversample))),
        "rescore_vector": {"oversample": oversample},
    }
    allowed = _with_keys(filters, keys)
    if allowed:
        knn["filter"] = allowed
    return {"knn": knn, "track_total_hits": False, **_page(size)}


def _page(size: int) -> dict[str, Any]:
    # Doc values only: reading stored fields, the _id among them, takes longer than the search.
    return {
        "size": min(size, LARGEST),
        "stored_fields": "_none_",
        "docvalue_fields": _FIELDS,
    }


def _with_keys(filters: Sequence[Filter], keys: Sequence[str] | None) -> list[Filter]:
    return [*filters, *([{"terms": {"key": list(keys)}}] if keys is not None else [])]


# -- answers ---------------------------------------------------------------------------------------


def found_in(answer: Mapping[str, Any], k: int, cosine: bool) -> Found:
    """The `k` best of an answer. `cosine`: Elasticsearch's score is (1 + cosine) / 2."""
    entries = []
    for hit in answer["hits"]["hits"]:
        fields = hit["fields"]
        score = 2.0 * hit["_score"] - 1.0 if cosine else hit["_score"]
        # float32 sums depend on the order of segments: beyond these digits they mean nothing
        score = round(score, 6 if cosine else 4)
        entries.append((-score, fields["key"][0], fields["document"][0], fields["lang"][0]))
    entries.sort()
    entries = entries[:k]
    return Found(
        [key for _, key, _, _ in entries],
        [document for _, _, document, _ in entries],
        [lang for _, _, _, lang in entries],
        -np.array([score for score, *_ in entries], np.float64),
    )


def vectors_in(answer: Mapping[str, Any], dim: int) -> dict[str, NDArray[np.float32]]:
    """Key -> vector, of an answer with the doc values `key` and `raw`."""
    found = {}
    for hit in answer["hits"]["hits"]:
        fields = hit["fields"]
        data = base64.b64decode(fields["raw"][0]) if "raw" in fields else bytes(4 * dim)
        found[fields["key"][0]] = np.frombuffer(data, "<f4").astype(np.float32)
    return found


def frequencies(terms: Terms, langs: Iterable[str]) -> dict[str, dict[str, str]]:
    """A made-up document of these terms: its term vectors tell how many passages hold each."""
    texts: dict[str, dict[str, str]] = {}
    for stream in ("words", "stems"):
        text = " ".join(term for of, term, _ in terms if of == stream)
        if text:
            texts[stream] = {language_field(lang): text for lang in langs}
    return texts


def packed_tokens(tokens: NDArray[np.int32]) -> str:
    """Token numbers as the field `tokens` has them."""
    four = tokens.astype("<u4").view(np.uint8).reshape(-1, 4)
    return base64.b64encode(four[:, :3].tobytes()).decode()


def tokens_in(answer: Mapping[str, Any]) -> dict[str, NDArray[np.int32]]:
    """Key -> token numbers, of an answer with the doc values `key` and `tokens`."""
    found = {}
    for hit in answer["hits"]["hits"]:
        fields = hit["fields"]
        three = np.frombuffer(base64.b64decode(fields.get("tokens", [""])[0]), np.uint8)
        four = np.zeros((len(three) // 3, 4), np.uint8)
        four[:, :3] = three.reshape(-1, 3)
        found[fields["key"][0]] = four.view("<u4")[:, 0].astype(np.int32)
    return found
