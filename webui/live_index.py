"""The index that is being served: searched by many threads while it moves to newer commits.

It knows the retriever, and nothing of HTTP.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from configs.errors import TandemError
from configs.settings import SearchSettings
from indexer.schema import Collection, Document, Encoder, Fielded, FieldKind, Hit, SignalName, Where
from indexer.text import languages, prepare_dictionary
from retriever.hits import missing_signals
from retriever.retriever import Retriever
from webui.field_filter import FieldFacts
from webui.search_request import Asked

__all__ = ["Facts", "Found", "Language", "Live"]

log = logging.getLogger(__name__)

EXAMPLES = 6
VALUES = 200  # of a field, that the page offers
LOOKED_AT = 300  # documents that examples are chosen among
PROBED = 5.0  # seconds that an answer of `ready` holds


@dataclass(frozen=True, slots=True)
class Language:
    code: str
    name: str
    documents: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the index holds, as of one commit."""

    generation: int
    documents: int
    passages: int
    encoder: str
    languages: tuple[Language, ...]  # most documents first; those in no known language are not here
    fields: tuple[FieldFacts, ...] = ()
    changed: str = ""
    """When the index last changed, 2026-11-26T17:30:00Z."""

    @property
    def kinds(self) -> dict[str, FieldKind]:
        return {field.name: field.kind for field in self.fields}


@dataclass(frozen=True, slots=True)
class Found:
    """The hits of one search, and whether paging on finds more."""

    hits: list[Hit]  # best first
    more: bool
    seconds: float
    failed: tuple[SignalName, ...] = ()
    """Signals that could not answer; the hits are the others' alone."""
    facets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    searched: str = ""
    """What was searched: the query without its syntax, perhaps with a word put right."""
    corrected: bool = False
    """Whether a word was put right."""
    syntax: tuple[str, ...] = ()
    """The phrases, exclusions and fields of the query."""
    floor: float = 0.0
    """Score below which a hit is no answer."""

    @property
    def close(self) -> int:
        """How many of the hits are answers."""
        return sum(hit.score >= self.floor for hit in self.hits)


def _fields(collection: Collection) -> tuple[FieldFacts, ...]:
    """The documents' own fields, with the values of those that are keywords."""
    if not isinstance(collection, Fielded):
        return ()
    found = []
    for name, kind in sorted(collection.fields.items()):
        counts = collection.field_counts(name, VALUES) if kind == "keyword" else {}
        found.append(FieldFacts(name, kind, tuple(counts.items())))
    return tuple(found)


class Live:
    """A retriever that follows its index. `on_failure` is told when a newer commit would not open."""

    def __init__(
        self,
        retriever: Retriever,
        on_failure: Callable[[], None],
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._retriever = retriever
        self._on_failure = on_failure
        self._interval = interval  # seconds
        self._clock = clock
        self._refreshing = threading.Lock()
        self._refreshed = clock()
        self._facts: tuple[object, Facts] | None = None  # with the collection's own
        self._examples: tuple[Facts, tuple[Document, ...]] | None = None
        self._probed: float | None = None

    def refresh(self) -> None:
        """Move to the newest commit if it is time to look; what was open serves on if that fails.

        One thread looks; the others search meanwhile in what is open.
        """
        if self._clock() - self._refreshed < self._interval:
            return
        if not self._refreshing.acquire(blocking=False):
            return
        try:
            self._move()
        finally:
            self._refreshing.release()

    def follow(self) -> None:
        """Move to the newest commit now: one was just made, or it is about to be asked what there is."""
        with self._refreshing:
            self._move()

    def _move(self) -> None:
        try:
            if self._retriever.refresh():
                log.info("moved to generation %d", self.facts().generation)
        except (TandemError, OSError) as error:
            log.warning("the newest commit could not be opened, serving the one before: %s", error)
            self._on_failure()
        finally:
            self._refreshed = self._clock()

    def encoder(self) -> Encoder:
        """What turns texts into the vectors of this index."""
        return self._retriever.collection.encoder

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Those of these document ids that the index has not."""
        found = self._retriever.collection.passages(ids)
        return [id_ for id_ in ids if id_ not in found]

    def is_aligned(self) -> bool:
        """Whether words of a hit are matched with those of the query across languages."""
        settings = self._retriever.settings
        return self._retriever.collection.facts.aligned and settings.alignment > 0

    def facts(self) -> Facts:
        """What the open index holds."""
        found = self._retriever.collection.facts
        kept = self._facts
        if kept is None or kept[0] is not found:
            held = sorted(found.languages.items(), key=lambda item: (-item[1], item[0]))
            facts = Facts(
                generation=found.generation,
                documents=found.documents,
                passages=found.passages,
                encoder=found.encoder,
                languages=tuple(
                    Language(code, languages.name(code), n) for code, n in held if code and n
                ),
                fields=_fields(self._retriever.collection),
                changed=found.changed,
            )
            kept = self._facts = found, facts
        return kept[1]

    @property
    def settings(self) -> SearchSettings:
        """What the server searches with."""
        return self._retriever.settings

    def search(self, asked: Asked, settings: SearchSettings | None = None) -> Found:
        """One page of hits, with the server's settings or others. Raises what the retriever raises."""
        retriever = self._retriever.with_settings(settings) if settings else self._retriever
        start = time.perf_counter()
        given = Where(langs=frozenset(asked.langs), condition=asked.condition) or None
        parsed = retriever.parsed(asked.query, given, asked.literal)
        where = parsed.where
        hits = retriever.search(
            parsed.text, k=asked.k + 1, mode=asked.mode, where=where, offset=asked.offset,
            sort=asked.sort or None, literal=asked.literal,
        )  # fmt: skip
        failed = tuple(missing_signals(hits, asked.mode))
        facets: Mapping[str, Mapping[str, int]] = {}
        if asked.facets:
            facets = retriever.facets(parsed.text, asked.facets, asked.mode, where)
        seconds = time.perf_counter() - start
        searched = parsed.text if asked.literal else retriever.searched(parsed.text)
        return Found(
            hits[: asked.k], len(hits) > asked.k, seconds, failed, facets, searched,
            searched != parsed.text, parsed.syntax, retriever.floor(asked.mode),
        )  # fmt: skip

    def similar(self, document_id: str, k: int, langs: Sequence[str] = ()) -> list[Hit]:
        """The documents nearest to one by meaning. Raises ConfigError for an id that is not in the index."""
        return self._retriever.similar(document_id, k, Where(langs=frozenset(langs)) or None)

    def suggest(self, text: str, most: int) -> list[str]:
        """Queries that a text which is being typed may become."""
        return self._retriever.suggest(text, most)

    def parsed(self, query: str) -> str:
        """The text of a query, without its syntax."""
        return self._retriever.parsed(query).text

    def document(self, document_id: str) -> Document | None:
        """A document by its id; None when the index has none."""
        return self._retriever.collection.documents([document_id]).get(document_id)

    def ready(self) -> None:
        """Answer a real search, unless one was answered lately. Raises what the retriever raises."""
        now = self._clock()
        if self._probed is None or now - self._probed > PROBED:
            self._retriever.search("ready", k=1)
            self._probed = now

    def warm(self) -> None:
        """Answer one search in the background, and make the dictionaries of the index's languages: no visitor should wait
        for either."""

        def search() -> None:
            with contextlib.suppress(TandemError):  # a service that is away may come back
                self.ready()
            for language in self.facts().languages:
                prepare_dictionary(language.code)

        threading.Thread(target=search, name="warm", daemon=True).start()

    def examples(self) -> tuple[Document, ...]:
        """A few documents in different languages, whose titles make queries to begin with."""
        facts = self.facts()
        kept = self._examples
        if kept is None or kept[0] is not facts:
            kept = self._examples = facts, tuple(islice(self._choose(), EXAMPLES))
        return kept[1]

    def _choose(self) -> Iterator[Document]:
        """Documents with a title fit to be a query: one of each large language, then any."""
        collection = self._retriever.collection
        ids = list(islice(collection.document_ids(), LOOKED_AT))
        documents = collection.documents(ids)
        fit = [
            documents[id] for id in ids if id in documents and 8 <= len(documents[id].title) <= 70
        ]
        chosen: set[str] = set()
        for language in self.facts().languages:
            for document in fit:
                if document.lang == language.code:
                    chosen.add(document.id)
                    yield document
                    break
        yield from (document for document in fit if document.id not in chosen)
