"""The nouns that cross folder borders, and the protocols at the joints.

Scores are higher-is-better, ranks count from 1, ids are `str`, ties are broken by id.
Nothing here reads a file or knows a backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Document",
    "Encoder",
    "Hit",
    "Index",
    "Kind",
    "Matrix",
    "Mode",
    "Part",
    "Passage",
    "Ranking",
    "Where",
]

Matrix = NDArray[np.float32]
"""(n, dim) float32; every row of unit length, or all zero for an empty text."""

Ranking = list[tuple[str, float]]
"""(id, score), best first, ids unique, ties by id."""

Kind = Literal["query", "passage"]
Mode = Literal["hybrid", "dense", "lexical"]


@dataclass(frozen=True, slots=True)
class Document:
    """What a user adds. `lang` is an ISO 639-1 code, or empty until it is detected."""

    id: str
    text: str
    title: str = ""
    url: str = ""
    lang: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    place: str = field(default="", compare=False, repr=False)
    """Where it was read, as `file:line`, for messages; never kept."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What is encoded: characters `start` to `end` of a document's text; `number` counts from 0."""

    document_id: str
    number: int
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Part:
    """What one side contributed to a hit.

    `score` is the side's own (cosine, BM25), `rank` its place on that side (None: found by the other
    side only), `share` the part of the hit's final score that came from it (the shares sum to the score).
    """

    score: float
    rank: int | None
    share: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A document found, with its best passage. `parts` is keyed by side: "dense", "lexical"."""

    document: Document
    passage: Passage
    score: float
    rank: int
    parts: Mapping[str, Part]


@dataclass(frozen=True, slots=True)
class Where:
    """A filter: documents in one of these languages (empty: all), with these field values."""

    langs: frozenset[str] = frozenset()
    fields: Mapping[str, str] = field(default_factory=dict)


class Encoder(Protocol):
    """Texts to vectors. `fingerprint` changes whenever the vectors would."""

    @property
    def name(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def max_tokens(self) -> int | None:
        """The longest text it reads, in its own tokens; None when there is no limit."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens in each text, as `max_tokens` counts them."""
        ...

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix: ...


class Index(Protocol):
    """One side of the search, over passages. Ids are passage ids: opaque strings of this index.

    `score` gives the exact score of passages another side found, so that fusion need not guess.
    """

    def search(
        self, queries: Sequence[str], k: int, where: Where | None = None
    ) -> list[Ranking]: ...

    def score(self, query: str, ids: Sequence[str]) -> NDArray[np.float64]: ...

    def bounds(self, query: str) -> tuple[float, float]:
        """Scores that mean nothing and everything: they depend on the query, never on the hits."""
        ...
