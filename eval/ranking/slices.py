"""Parts of a measurement: which queries it is good or bad at, what was never judged, which were found."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.formats.judgments import Qrels
from eval.formats.topics import Topic
from eval.ranking.relevance import System

__all__ = ["Coverage", "Reach", "Slice", "Unjudged", "coverage", "reach", "slices", "unjudged"]

LENGTHS = ((1, 2), (3, 5), (6, 10), (11, 20), (21, math.inf))  # words

ANY = "any"  # the query language in the rows that sum up all pairs of one language, and all of two


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of the queries: each system's mean over them by the main measure."""

    by: str
    value: str
    queries: int
    means: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Reach:
    """Of the relevant documents in one language for queries in another, the share in the first `k`."""

    query_language: str
    document_language: str
    relevant: int
    k: int
    found: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of a system's first `k` were judged at all, over all queries."""

    system: str
    k: int
    shown: int
    judged: int
    relevant: int


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A document to judge next. `weight` is the sum of 1 / log2(1 + rank) over the systems that show it."""

    query_id: str
    document_id: str
    weight: float
    shown_by: Mapping[str, int]
    """System -> rank."""


def slices(
    systems: Sequence[System],
    measure: str,
    queries: Mapping[str, Topic],
    languages: Mapping[str, str],
    relevant_languages: Mapping[str, frozenset[str]],
) -> list[Slice]:
    """Means by query language, by where the relevant documents' languages lie, and by query length.

    `languages` gives each query's language, `relevant_languages` those of its relevant documents.
    A way of slicing that puts every query into one slice is left out.
    """
    ways: dict[str, dict[str, str]] = {
        "query language": {query: languages.get(query, "") or "?" for query in queries},
        "relevant documents": {
            query: _crossing(languages.get(query, ""), relevant_languages.get(query, frozenset()))
            for query in queries
        },
        "query length": {query: _length(entry.text) for query, entry in queries.items()},
    }
    found = []
    for by, groups in ways.items():
        members: dict[str, list[str]] = defaultdict(list)
        for query, value in groups.items():
            members[value].append(query)
        if len(members) < 2:
            continue
        for value in sorted(members, key=_place):
            means = {
                system.name: math.fsum(system.values[measure][query] for query in members[value])
                / len(members[value])
                for system in systems
            }
            found.append(Slice(by, value, len(members[value]), means))
    return found


def _crossing(language: str, others: frozenset[str]) -> str:
    if not language or not others:
        return "language not known"
    if others == {language}:
        return "in the query's language"
    return "in the query's and other languages" if language in others else "in other languages"


def _length(text: str) -> str:
    words = len(text.split())
    low, high = next((a, b) for a, b in LENGTHS if max(words, 1) <= b)
    return f"{low} words and more" if high == math.inf else f"{low} to {high:.0f} words"


def _place(value: str) -> tuple[int, str]:
    """Lengths in their own order, the rest by name."""
    first = value.split()[0]
    return (int(first) if first.isdigit() else 0, value)


def reach(
    systems: Sequence[System],
    qrels: Qrels,
    relevant_from: int,
    languages: Mapping[str, str],
    document_languages: Mapping[str, str],
    k: int = 10,
) -> list[Reach]:
    """The matrix of query language and document language, the pairs with most documents first; before
    them all pairs of one language and all of two. Empty where there is one pair only.
    """
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for query, grades in qrels.items():
        for document, grade in grades.items():
            if grade >= relevant_from and document in document_languages:
                pair = (languages.get(query, "") or "?", document_languages[document] or "?")
                pairs[pair].append((query, document))
    if len(pairs) < 2:
        return []
    best = {
        system.name: {
            query: {document for document, _ in ranking[:k]}
            for query, ranking in system.run.items()
        }
        for system in systems
    }

    def row(ours: str, theirs: str, entries: Sequence[tuple[str, str]]) -> Reach:
        found = {
            name: sum(document in shown.get(query, ()) for query, document in entries)
            / len(entries)
            for name, shown in best.items()
        }
        return Reach(ours, theirs, len(entries), k, found)

    same = [entry for (ours, theirs), e in pairs.items() if ours == theirs for entry in e]
    other = [entry for (ours, theirs), e in pairs.items() if ours != theirs for entry in e]
    totals = [
        row(ANY, word, entries)
        for word, entries in (("the same", same), ("another", other))
        if entries
    ]
    ordered = sorted(pairs.items(), key=lambda item: (-len(item[1]), item[0]))
    return totals + [row(ours, theirs, entries) for (ours, theirs), entries in ordered]


def coverage(
    systems: Sequence[System], qrels: Qrels, relevant_from: int, k: int = 10
) -> list[Coverage]:
    """How far the judgments reach into what each system shows."""
    rows = []
    for system in systems:
        grades = [
            qrels[query].get(document)
            for query in qrels
            for document, _ in system.run.get(query, [])[:k]
        ]
        judged = [grade for grade in grades if grade is not None]
        relevant = sum(grade >= relevant_from for grade in judged)
        rows.append(Coverage(system.name, k, len(grades), len(judged), relevant))
    return rows


def unjudged(systems: Sequence[System], qrels: Qrels, k: int = 10) -> list[Unjudged]:
    """Documents among the first `k` of any system that nobody judged, the weightiest first."""
    shown: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for system in systems:
        for query in qrels:
            for rank, (document, _) in enumerate(system.run.get(query, [])[:k], start=1):
                if document not in qrels[query]:
                    shown[query, document][system.name] = rank
    found = [
        Unjudged(query, document, math.fsum(1 / math.log2(1 + r) for r in ranks.values()), ranks)
        for (query, document), ranks in shown.items()
    ]
    return sorted(found, key=lambda entry: (-entry.weight, entry.query_id, entry.document_id))
