"""The nouns that cross folder borders, and the protocols at the joints.

Scores are higher-is-better, ranks count from 1, ids are `str`, ties are broken by id.
Nothing here reads a file or knows a backend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AllOf",
    "Answer",
    "AnyOf",
    "Bounds",
    "Candidates",
    "Collection",
    "CollectionFacts",
    "Compare",
    "Completing",
    "Condition",
    "Contains",
    "Counted",
    "Document",
    "Encoder",
    "FieldKind",
    "Fielded",
    "Hit",
    "Index",
    "Keys",
    "Kind",
    "Matrix",
    "Mode",
    "Not",
    "Part",
    "Passage",
    "Pool",
    "Query",
    "Ranking",
    "Scorer",
    "Scores",
    "SignalName",
    "Term",
    "TokenEncoder",
    "Where",
]

Matrix = NDArray[np.float32]
"""(n, dim) float32; every row of unit length, or all zero for an empty text."""

Ranking = list[tuple[str, float]]
"""(id, score), best first, ids unique, ties by id."""

Kind = Literal["query", "passage"]
FieldKind = Literal["keyword", "number", "date"]
Mode = Literal["hybrid", "dense", "lexical"]
SignalName = Literal["dense", "lexical", "alignment"]

Scores = NDArray[np.float64]
Keys = NDArray[Any]
"""(n,) names of passages or of documents, known to the collection that gave them: row numbers of an index
folder, ids of Elasticsearch. Others may compare, sort and hand them back, and nothing else."""

Bounds = tuple[float, float]
"""The scores that mean nothing and everything, for one query and one signal."""


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
    """What one signal contributed to a hit.

    `score` is the signal's own (cosine, BM25), `rank` its place in the signal's list (None: found by another
    signal only), `share` the part of the hit's final score that came from it (the shares sum to the score).
    """

    score: float
    rank: int | None
    share: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A document found, with its best passage. `parts` is keyed by signal."""

    document: Document
    passage: Passage
    score: float
    rank: int
    parts: Mapping[SignalName, Part]


@dataclass(frozen=True, slots=True)
class Answer:
    """The word of a passage that is nearest to one word of a query."""

    word: str
    """Of the query."""
    answer: str
    """Of the passage, at the characters `start` to `end` of the text."""
    start: int
    end: int
    similarity: float
    """Their cosine in the static student's token space, in [0, 1]; 1 is the same word."""


@dataclass(frozen=True, slots=True)
class Compare:
    """A field against a value, both as a person wrote them; `lang` is a field of every document.

    A document without the field passes no comparison; with several values it passes when one of them does.
    """

    field: str
    op: Literal["=", "<", "<=", ">", ">="]
    value: str


@dataclass(frozen=True, slots=True)
class Contains:
    """Words that stand in a row in the title or the text of a document; case and accents do not count."""

    text: str
    title: bool = False
    """In the title alone."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold; a document without its field passes."""

    part: Condition


Condition = Compare | Contains | AllOf | AnyOf | Not
"""What `indexer.text.conditions.parse_condition` makes of `date>=1880 and newspaper=Zeit`."""


@dataclass(frozen=True, slots=True)
class Where:
    """A filter: documents in one of these languages (empty: all), with these field values, for which the
    condition holds.
    """

    langs: frozenset[str] = frozenset()
    fields: Mapping[str, str] = field(default_factory=dict)
    condition: Condition | None = None

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.langs or self.fields or self.condition)

    def conditions(self) -> tuple[Condition, ...]:
        """Fields and condition as one list, all of which must hold."""
        fields = [Compare(name, "=", value) for name, value in sorted(self.fields.items())]
        return (*fields, *([self.condition] if self.condition is not None else []))


class Term(NamedTuple):
    """A term that lexical search looks for: in which stream (words or stems), and how much it weighs."""

    stream: str
    text: str
    weight: float


class Counted(NamedTuple):
    """A term of a query and those that stand for it: a passage that has one of them has what was asked for."""

    stream: str
    terms: Sequence[str]
    weight: float


class Candidates(NamedTuple):
    """The passages that one signal found for a query, best first, ties by key; (n,) each, keys unique."""

    keys: Keys
    scores: Scores


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidate passages of one query, (n,) each, each with the score of every signal that was asked.

    `ranks` count from 1 in the signal's own list, and are infinite where it did not find the passage.
    """

    keys: Keys
    scores: Mapping[SignalName, Scores]
    ranks: Mapping[SignalName, Scores]
    failed: frozenset[SignalName] = frozenset()
    """Signals that could not answer, of a collection on other machines; their scores are 0."""


@dataclass(frozen=True, slots=True)
class CollectionFacts:
    """What a collection holds. `generation` rises with every change; `languages` counts documents."""

    place: str
    generation: int
    documents: int
    passages: int
    encoder: str
    languages: Mapping[str, int]
    note: str = ""
    """What whoever searches it should be told, in one line."""
    aligned: bool = False
    """Whether the collection gives the signal `alignment`."""
    changed: str = ""
    """When it last changed, 2026-11-26T17:30:00Z."""


@runtime_checkable
class Fielded(Protocol):
    """A collection that knows the documents' own fields, their kinds and their values."""

    @property
    def fields(self) -> Mapping[str, FieldKind]: ...

    def field_counts(self, name: str, most: int = 10_000) -> Mapping[str, int]:
        """How many documents have each value of a field, of the `most` frequent ones, most first."""
        ...


@runtime_checkable
class Completing(Protocol):
    """A collection that knows the words it holds by their beginnings."""

    def beginning(self, prefix: str) -> list[tuple[str, int]]:
        """Words as indexed that begin so, with the passages that hold each, most first."""
        ...


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


@runtime_checkable
class TokenEncoder(Protocol):
    """An encoder that tells the tokens of a text; each has a vector in the encoder's table."""

    def tokens(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """The token numbers of each text, in the order of the text."""
        ...


class Query(Protocol):
    """What a user asked, prepared once: each part is made when first needed, and kept.

    One query goes to every signal's `search`, `score` and `bounds`, so none of them analyses, detects or
    encodes again. `indexer.search.query.PreparedQuery` is the one implementation.
    """

    @property
    def text(self) -> str: ...
    @property
    def searched(self) -> str:
        """The text that is searched: `text`, or with a word that the index does not hold put right."""
        ...

    @property
    def languages(self) -> Mapping[str, float]:
        """P(language) of every language above a thousandth, those of the index preferred."""
        ...

    @property
    def own(self) -> Sequence[str]:
        """The languages of the index that the query may be in; none where it is in another."""
        ...

    @property
    def likely(self) -> Sequence[str]:
        """`own`, or else the most probable language of the index: their stems are looked for."""
        ...

    @property
    def terms(self) -> Sequence[Term]:
        """What lexical search looks for, each term of a stream once."""
        ...

    @property
    def counted(self) -> Sequence[Sequence[Counted]]:
        """What `Index.bounds` of a search by words counts, for each part of each word of the query."""
        ...

    @property
    def tokens(self) -> NDArray[np.int32]:
        """(n,) the encoder's token numbers; empty for an encoder that gives none."""
        ...

    @property
    def vector(self) -> NDArray[np.float32]:
        """(dim,) unit length, or all zero for a text that says nothing."""
        ...


class Scorer(Protocol):
    """A signal that scores passages found by others: the exact score of each, (len(keys),), in their order."""

    def score(self, query: Query, keys: Keys) -> Scores: ...


class Index(Scorer, Protocol):
    """A signal that finds passages too: lexical or dense search.

    `search_many` answers each query as `search` would, sharing what work it can.
    """

    def search(self, query: Query, k: int, where: Where | None = None) -> Candidates: ...

    def search_many(
        self, queries: Sequence[Query], k: int, where: Where | None = None
    ) -> list[Candidates]: ...

    def bounds(self, query: Query) -> Bounds:
        """The scores that mean nothing and everything: they depend on the query, never on the hits."""
        ...


class Collection(Protocol):
    """What the retriever searches: one open state of an index, wherever its parts lie.

    `indexer.folder.IndexFolder` is one. Passages and documents are named by keys, which only the
    collection that gave them understands; keys of one kind have one dtype and can be compared, and ties
    are broken by them.
    """

    @property
    def encoder(self) -> Encoder: ...
    @property
    def facts(self) -> CollectionFacts: ...
    def __len__(self) -> int:
        """Documents."""
        ...

    def about(self) -> Mapping[str, object]:
        """What a report states of the collection, name to value: enough to know it again."""
        ...

    def newest(self) -> Collection | None:
        """The collection as of a later change; None where there was none. This one stays as it is."""
        ...

    def close(self) -> None: ...

    # -- searching ---------------------------------------------------------------------------------

    def queries(self, texts: Sequence[str], literal: bool = False) -> list[Query]:
        """The texts prepared; what one model call can do for all of them is done for all at once.

        `literal`: no word is put right, also where the index does not hold it.
        """
        ...

    def check_where(self, where: Where | None) -> None:
        """Raises ConfigError for a filter that no document could ever pass."""
        ...

    def pools(
        self,
        queries: Sequence[Query],
        size: int,
        signals: Sequence[SignalName],
        where: Where | None = None,
    ) -> list[Pool]:
        """For each query the `size` best passages of each signal, all of them scored by every signal."""
        ...

    def scored(self, query: Query, keys: Keys, signals: Sequence[SignalName]) -> Pool:
        """These passages, scored by every signal; they have no ranks."""
        ...

    def bounds(self, query: Query) -> Mapping[SignalName, Bounds]:
        """Each signal's `Index.bounds`."""
        ...

    # -- what keys name ----------------------------------------------------------------------------

    def documents_of(self, passages: Keys) -> Keys:
        """The key of each passage's document."""
        ...

    def languages_of(self, passages: Keys) -> NDArray[np.str_]:
        """The language code of each passage's document; empty where it is not known."""
        ...

    def ids(self, documents: Keys) -> list[str]:
        """The document ids of document keys."""
        ...

    def fetch(self, passages: Keys) -> list[tuple[Document, Passage]]:
        """Each passage with its document."""
        ...

    # -- by document id ----------------------------------------------------------------------------

    def documents(self, ids: Sequence[str]) -> dict[str, Document]:
        """The documents there are among these ids."""
        ...

    def document_ids(self) -> Iterator[str]: ...

    def passages(self, ids: Sequence[str]) -> dict[str, Keys]:
        """The passage keys of the documents there are among these ids, in the order of the text."""
        ...
