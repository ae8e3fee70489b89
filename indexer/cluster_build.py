"""Building, adding to and deleting from an index in Elasticsearch.

Documents flow as into a folder: checked -> unchanged ones passed over -> language and passages -> encoded ->
written. A document's own entry is written after its passages: where it is, the document is whole. So a
build that was interrupted goes on where it stopped, and nothing but what was under way is encoded again.

A build writes a new index, which nobody sees until the alias NAME is moved to it, in one step. What is added
to an index is seen when all of it is written. Two who add at the same time do not disturb each other.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import BackendError, ConfigError, DocumentError
from configs.settings import ElasticsearchSettings, LexicalSettings, PassageSettings
from indexer.aligned_tokens import alignment_entry, tokens_of
from indexer.build import ChangeReport
from indexer.calibration import SAMPLE, background, first_words
from indexer.cluster import ClusterIndex, resolved
from indexer.elastic.address import name_in
from indexer.elastic.bulk import Entry, deletion, entry, write
from indexer.elastic.conditions import equal_terms, ordered_terms
from indexer.elastic.connection import Cluster, connect, explained, refusal
from indexer.elastic.mapping import Note, body, language_field, meta, note_in, with_languages
from indexer.elastic.requests import document_key, packed_tokens, passage_key
from indexer.encoders.token_vectors import aligns
from indexer.incoming import Incoming, Progress
from indexer.prepare import BATCH, Hashed, Prepared, prepared_batches, texts_of, vectors_of
from indexer.schema import Document, Encoder, FieldKind, Matrix
from indexer.search.filters import nearest_field
from indexer.storage.columns import values_of
from indexer.storage.manifest import FieldEntry
from indexer.storage.passage_tokens import TokenSets
from indexer.text import field_values
from indexer.text.analysis import Analysis
from indexer.text.rejects import OnReject, Reject
from indexer.written_encoder import described

__all__ = ["add_to_cluster", "build_in_cluster", "delete_from_cluster", "held_documents"]

_RETIRED = 3.0  # seconds that a replaced index still answers
_WRITERS = 3  # batches that are being written at a time


def build_in_cluster(
    address: str,
    documents: Iterable[Document],
    encoder: Encoder,
    *,
    settings: ElasticsearchSettings | None = None,
    model: str | None = None,
    query_prompt: str | None = None,
    passage_prompt: str | None = None,
    passages: PassageSettings | None = None,
    lexical: LexicalSettings | None = None,
    kinds: Mapping[str, FieldKind] | None = None,
    on_reject: OnReject | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
    restart: bool = False,
    workers: int = 0,
) -> ChangeReport:
    """Build `es://NAME` from documents, seen whole at the end; resumed when it was interrupted.

    Raises BackendError when there is an index already (unless `overwrite`), when a build with other
    settings was interrupted (unless `restart`), or when the cluster is away or refuses; DocumentError
    when no document could be used.
    """
    start = time.perf_counter()
    stream = iter(documents)
    first = next(stream, None)
    name = name_in(address)
    cluster = connect(settings)
    made_with = described(encoder, model, query_prompt, passage_prompt)
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    word_weight = (lexical or LexicalSettings()).word_weight
    note = Note(
        name, made_with, created, False, passages or PassageSettings(), word_weight,
        alignment=alignment_entry(),
    )  # fmt: skip
    standing, generation = _standing(cluster, name)
    note = dataclasses.replace(note, generation=generation + 1)
    if standing is not None and not overwrite:
        raise BackendError(
            f"{address}: holds an index already; use `tandem index add` to add to it, or --overwrite to replace it"
        )
    if first is None:
        raise DocumentError("no document could be used; nothing was indexed")
    index = _unfinished(cluster, name, note, restart, standing)
    resumed = index is not None
    if index is not None:
        _await(cluster, name, index)
    if index is None:
        index = _create(cluster, name, note)
    writer = _Writer(cluster, name, index, note, encoder, on_reject, progress)
    counts = writer.run(itertools.chain([first], stream), workers, known=resumed)
    if not writer.documents and not counts["unchanged"]:
        with explained(cluster, name):
            cluster.client.indices.delete(index=index)
        raise DocumentError("no document could be used; nothing was indexed")
    background = writer.sample.background(encoder)
    finished = dataclasses.replace(
        note,
        ready=True,
        encoder=dataclasses.replace(made_with, background=background),
        fields=_declared(writer.fields, kinds or {}),
    )
    _swap(cluster, name, index, finished, standing)
    return writer.report(start, _count(cluster, name, index), finished.generation)


def add_to_cluster(
    address: str,
    documents: Iterable[Document],
    encoder: Encoder | None = None,
    *,
    gone: Callable[[], Collection[str]] = tuple,
    settings: ElasticsearchSettings | None = None,
    kinds: Mapping[str, FieldKind] | None = None,
    on_reject: OnReject | None = None,
    progress: Progress | None = None,
    workers: int = 0,
    device: str = "auto",
) -> ChangeReport:
    """Add documents to `es://NAME`; one with a known id replaces it, an unchanged one is passed over.

    `gone` is asked, when all documents were written, for ids to delete; those that are not in the index are
    passed over.
    """
    start = time.perf_counter()
    stream = iter(documents)
    first = next(stream, None)
    with contextlib.closing(ClusterIndex.open(address, encoder, settings, device)) as base:
        if first is None and not gone():
            return ChangeReport(documents=len(base), generation=base.note.generation)
        writer = _Writer(
            base.cluster, base.name, base.index, base.note, base.encoder, on_reject, progress
        )
        documents = itertools.chain([] if first is None else [first], stream)
        counts = writer.run(documents, workers, known=True)
        leaving = sorted(gone())
        known = _known(base.cluster, base.name, base.index, leaving)
        _erase(base.cluster, base.name, base.index, known)
        counts["deleted"] = len(known)
        note = base.note
        fields = _declared(writer.fields, kinds or {})
        if counts["added"] or counts["replaced"] or known or fields != dict(note.fields):
            note = _changed(base.cluster, base.name, base.index, fields)
        return writer.report(start, _count(base.cluster, base.name, base.index), note.generation)


def delete_from_cluster(
    address: str, ids: Sequence[str], settings: ElasticsearchSettings | None = None
) -> ChangeReport:
    """Delete documents. DocumentError, and nothing done, when one of the ids is not in the index."""
    start = time.perf_counter()
    name = name_in(address)
    cluster = connect(settings)
    index, found = resolved(cluster, name)
    note_in(found["mappings"], address)
    wanted = list(dict.fromkeys(ids))
    known = _known(cluster, name, index, wanted)
    missing = [id_ for id_ in wanted if id_ not in known]
    if missing:
        shown = ", ".join(repr(id_) for id_ in missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise DocumentError(f"{address}: not in the index: {shown}; nothing was deleted")
    _erase(cluster, name, index, known)
    note = _changed(cluster, name, index)
    return ChangeReport(
        deleted=len(wanted),
        documents=_count(cluster, name, index),
        seconds=time.perf_counter() - start,
        generation=note.generation,
    )


def held_documents(cluster: Cluster, name: str, index: str, ids: Sequence[str]) -> set[str]:
    """Those of these documents that are in the index, as last written."""
    return set(_known(cluster, name, index, ids))


def _erase(cluster: Cluster, name: str, index: str, known: Mapping[str, _Known]) -> None:
    """Delete documents. Their own entries go first: without these, passages are leftovers, not a document."""
    write(cluster, name, index, (deletion(document_key(id_)) for id_ in known))
    passages = (passage_key(id_, n) for id_, entry in known.items() for n in range(entry.passages))
    write(cluster, name, index, map(deletion, passages))


def _declared(
    fields: Mapping[str, FieldEntry], kinds: Mapping[str, FieldKind]
) -> dict[str, FieldEntry]:
    """The fields with the kinds that were declared. ConfigError for one of a field that nobody has."""
    found = dict(fields)
    for name, kind in kinds.items():
        if name not in found:
            known = dict.fromkeys(found)
            raise ConfigError(f"no document has a field {name!r}; {nearest_field(name, known)}")
        found[name] = dataclasses.replace(found[name], declared=field_values.check_kind(name, kind))
    return found


# -- indices and the alias -------------------------------------------------------------------------


def _standing(cluster: Cluster, name: str) -> tuple[str | None, int]:
    """The index behind the alias NAME and its generation; None and 0 when there is neither.

    BackendError for an index of somebody else.
    """
    with explained(cluster, name):
        if not cluster.client.indices.exists(index=name):
            return None, 0
    index, found = resolved(cluster, name)
    note = note_in(found["mappings"], f"es://{name}")
    if index == name:
        raise BackendError(
            f"es://{name} at {cluster.hosts}: an index, not an alias, has this name; choose another one"
        )
    return index, note.generation


def _unfinished(
    cluster: Cluster, name: str, note: Note, restart: bool, standing: str | None
) -> str | None:
    """The index of an interrupted build that this one goes on with; others of its kind are deleted."""
    with explained(cluster, name):
        found = cluster.client.indices.get(index=f"{name}-*", expand_wildcards="all").body
    for index, entry_ in sorted(found.items(), reverse=True):
        if index == standing or "tandem" not in entry_["mappings"].get("_meta", {}):
            continue
        other = note_in(entry_["mappings"], f"es://{name}")
        if other.name != name:
            continue
        if restart or other.ready:  # one that was replaced, by a build that was killed then
            with explained(cluster, name):
                cluster.client.indices.delete(index=index)
            continue
        different = _different(other, note)
        if different:
            raise BackendError(
                f"es://{name}: a build with other settings was interrupted here ({'; '.join(different)}); "
                "use the same settings to go on, or --restart to discard what it encoded"
            )
        return str(index)
    return None


def _different(before: Note, now: Note) -> list[str]:
    pairs = {
        "encoder": (
            f"{before.encoder.name} ({before.encoder.fingerprint})",
            f"{now.encoder.name} ({now.encoder.fingerprint})",
        ),
        "encoder.query_prompt": (before.encoder.query_prompt, now.encoder.query_prompt),
        "encoder.passage_prompt": (before.encoder.passage_prompt, now.encoder.passage_prompt),
        "passages.size": (before.passages.size, now.passages.size),
        "passages.overlap": (before.passages.overlap, now.passages.overlap),
        "lexical.word_weight": (before.word_weight, now.word_weight),
    }
    return [f"{key} was {was}, is {is_}" for key, (was, is_) in pairs.items() if was != is_]


def _await(cluster: Cluster, name: str, index: str) -> None:
    """Wait a while for every primary shard: after a restart they come back one by one."""
    with explained(cluster, name):
        cluster.client.options(request_timeout=2 * cluster.settings.timeout).cluster.health(
            index=index, wait_for_status="yellow", timeout=f"{int(cluster.settings.timeout)}s"
        )


def _create(cluster: Cluster, name: str, note: Note) -> str:
    """A new index NAME-number, which the alias does not lead to yet."""
    with explained(cluster, name):
        found = cluster.client.indices.get(index=f"{name}-*", expand_wildcards="all").body
        numbers = [int(tail) for index in found if (tail := index.rpartition("-")[2]).isdigit()]
        index = f"{name}-{max(numbers, default=0) + 1:06}"
        cluster.client.indices.create(index=index, **body(note, cluster.settings))
    return index


def _swap(cluster: Cluster, name: str, index: str, note: Note, standing: str | None) -> None:
    """Let the alias lead to the new index, in one step; then delete the one before it.

    A moment later, so that a page that follows its index has moved to the new one.
    """
    client = cluster.client
    with explained(cluster, name):
        client.indices.put_mapping(index=index, meta=meta(note))
        client.indices.refresh(index=index)
    _await(cluster, name, index)
    with explained(cluster, name):
        actions: list[dict[str, Any]] = [{"add": {"index": index, "alias": name}}]
        if standing is not None:
            actions.append({"remove": {"index": standing, "alias": name}})
        client.indices.update_aliases(actions=actions)
        if standing is not None:
            time.sleep(_RETIRED)
            client.indices.delete(index=standing)


def _changed(
    cluster: Cluster, name: str, index: str, fields: Mapping[str, FieldEntry] | None = None
) -> Note:
    """Let what was written be seen, and count the change."""
    with explained(cluster, name):
        found = cluster.client.indices.get_mapping(index=index)[index]["mappings"]
        before = note_in(found, f"es://{name}")
        known = before.fields if fields is None else fields
        note = dataclasses.replace(before, generation=before.generation + 1, fields=known)
        cluster.client.indices.refresh(index=index)
        cluster.client.indices.put_mapping(index=index, meta=meta(note))
    return note


def _count(cluster: Cluster, name: str, index: str) -> int:
    with explained(cluster, name):
        return int(cluster.client.count(index=index, query={"term": {"kind": "document"}})["count"])


@dataclass(frozen=True, slots=True)
class _Known:
    """A document that is in the index already."""

    hash: bytes
    passages: int


def _known(cluster: Cluster, name: str, index: str, ids: Sequence[str]) -> dict[str, _Known]:
    """Those of these documents that are in the index, as last written: seen by searches or not."""
    found = {}
    for at in range(0, len(ids), BATCH):
        part = ids[at : at + BATCH]
        with explained(cluster, name):
            answer = cluster.client.mget(
                index=index, ids=[document_key(id_) for id_ in part], source=["hash", "passages"]
            )
        for id_, hit in zip(part, answer["docs"], strict=True):
            if "error" in hit:  # its shard is away: that is not to say that the document is new
                kind, reason = hit["error"].get("type", ""), hit["error"].get("reason", "")
                raise BackendError(refusal(cluster, name, 503, str(kind), str(reason)[:300]))
            if hit.get("found"):
                found[id_] = _Known(
                    bytes.fromhex(hit["_source"]["hash"]), int(hit["_source"]["passages"])
                )
    return found


# -- writing ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Whole:
    """A document ready to be written: its own entry, its passages' and what is left of the one before."""

    document: Document
    own: Entry
    passages: list[Entry]
    leftovers: list[Entry]


class _Writer:
    """Writes documents to one index; what Elasticsearch refuses is set aside."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        index: str,
        note: Note,
        encoder: Encoder,
        on_reject: OnReject | None,
        progress: Progress | None,
    ) -> None:
        self.cluster = cluster
        self.name = name
        self.index = index
        self.note = note
        self.encoder = encoder
        self.on_reject = on_reject
        self.incoming = Incoming(on_reject, progress)
        self.counts = self.incoming.counts
        self.progress = progress or (lambda done: None)
        self.documents = 0
        self.sample = _Sample()
        self.aligned = note.alignment is not None and aligns(note.alignment.fingerprint)
        self.fields: dict[str, FieldEntry] = dict(note.fields)
        self._languages: set[str] = set()
        self._before: dict[str, _Known] = {}
        self._may_be_known = True

    def run(
        self, documents: Iterable[Document], workers: int, known: bool
    ) -> collections.Counter[str]:
        """Write them all. `known`: some may be in the index already."""
        self._may_be_known = known
        batches = self.incoming.batches(documents, self._find, self._before.__setitem__)
        writing: set[Future[list[tuple[_Whole, str]]]] = set()
        with ThreadPoolExecutor(_WRITERS, "tandem-bulk") as pool:
            try:
                for batch, prepared in prepared_batches(
                    batches, self.note.passages, self.encoder, workers
                ):
                    whole = self._entries(batch, prepared)
                    while len(writing) >= _WRITERS:
                        done, writing = wait(writing, return_when=FIRST_COMPLETED)
                        self._written(done)
                    writing.add(pool.submit(self._write, whole))
                    self.progress(len(batch))
                self._written(writing)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return self.counts

    def report(self, start: float, documents: int, generation: int) -> ChangeReport:
        counts = self.counts
        return ChangeReport(
            added=counts["added"],
            replaced=counts["replaced"],
            unchanged=counts["unchanged"] + counts["repeated"],
            deleted=counts["deleted"],
            rejected=counts["rejected"],
            passages=counts["passages"],
            encoded=counts["passages"],
            documents=documents,
            seconds=time.perf_counter() - start,
            generation=generation,
        )

    def _find(self, documents: Sequence[Document]) -> dict[str, _Known]:
        """Those of these documents that are in the index already; the fields of all of them are noted."""
        for document in documents:
            self._take_fields(document)
        if not self._may_be_known:
            return {}
        return _known(self.cluster, self.name, self.index, [document.id for document in documents])

    def _take_fields(self, document: Document) -> None:
        for name, text in document.fields.items():
            before = self.fields.get(name, FieldEntry())
            seen = field_values.joined(before.seen, field_values.seen_in(values_of(text)))
            if name not in self.fields or seen != before.seen:
                self.fields[name] = dataclasses.replace(before, seen=seen)

    def _reject(self, document: Document, problem: str) -> None:
        self.counts["rejected"] += 1
        if self.on_reject is not None:
            self.on_reject(Reject(document.id[:200], problem, document.text[:2000]))

    def _entries(self, batch: Sequence[Hashed], prepared: Prepared) -> list[_Whole]:
        """The entries of a batch; its passages are encoded here unless a worker did it."""
        vectors = vectors_of(batch, prepared, self.encoder)
        tokens = tokens_of(texts_of(batch, prepared), self.encoder) if self.aligned else None
        self._know_languages(set(prepared.langs))
        analyses = iter(prepared.analyses)
        whole = []
        row = 0
        for (document, digest), lang, spans in zip(
            batch, prepared.langs, prepared.spans, strict=True
        ):
            document = dataclasses.replace(document, lang=lang)
            mine = list(itertools.islice(analyses, len(spans)))
            some = vectors[row : row + len(spans)]
            packed = _packed(tokens, row, row + len(spans))
            row += len(spans)
            whole.append(self._whole(document, digest, spans, mine, some, packed))
            self.sample.see(document, spans, some)
        return whole

    def _whole(
        self,
        document: Document,
        digest: bytes,
        spans: Sequence[tuple[int, int]],
        analyses: Sequence[Analysis],
        vectors: Matrix,
        tokens: Sequence[str],
    ) -> _Whole:
        shared = {
            "document": document.id,
            "lang": document.lang,
            "field": equal_terms(document.fields),
            "ordered": ordered_terms(document.fields),
        }
        passages = []
        for number, (span, analysis, vector) in enumerate(
            zip(spans, analyses, vectors, strict=True)
        ):
            key = passage_key(document.id, number)
            values: dict[str, Any] = {
                "kind": "passage",
                "key": key,
                **shared,
                "content": {"number": number, "span": span},
                "words": {language_field(document.lang): analysis.words},
                "stems": {language_field(document.lang): analysis.stems},
                "raw": base64.b64encode(vector.astype("<f4").tobytes()).decode(),
            }
            if tokens:
                values["tokens"] = tokens[number]
            # an empty text has no direction
            passages.append(entry(key, values, vector if vector.any() else None))
        key = document_key(document.id)
        content = {
            "title": document.title,
            "text": document.text,
            "url": document.url,
            "fields": dict(document.fields),
        }
        own = {
            "kind": "document",
            "key": key,
            **shared,
            "hash": digest.hex(),
            "passages": len(passages),
            "content": content,
        }
        before = self._before.get(document.id)
        left = range(len(passages), before.passages if before is not None else 0)
        leftovers = [deletion(passage_key(document.id, number)) for number in left]
        return _Whole(document, entry(key, own), passages, leftovers)

    def _know_languages(self, langs: set[str]) -> None:
        """A language's words have fields of their own, which the mapping must name before the first entry."""
        fresh = langs - self._languages
        if fresh:
            with explained(self.cluster, self.name):
                self.cluster.client.indices.put_mapping(
                    index=self.index, properties=with_languages(sorted(fresh))
                )
            self._languages |= fresh

    def _write(self, whole: Sequence[_Whole]) -> list[tuple[_Whole, str]]:
        """Passages, then the documents all of whose passages were taken; the others with the reason."""
        cluster, name, index = self.cluster, self.name, self.index
        refused = write(cluster, name, index, (p for one in whole for p in one.passages))
        bad = [
            (one, next(refused[p.id] for p in one.passages if p.id in refused))
            for one in whole
            if any(p.id in refused for p in one.passages)
        ]
        unusable = {one.own.id for one, _ in bad}
        good = [one for one in whole if one.own.id not in unusable]
        refused = write(cluster, name, index, (one.own for one in good))
        bad += [(one, refused[one.own.id]) for one in good if one.own.id in refused]
        gone = [left for one in good for left in one.leftovers]
        gone += [deletion(p.id) for one, _ in bad for p in one.passages]
        gone += [deletion(one.own.id) for one, _ in bad]
        write(cluster, name, index, gone)
        reasons = {one.own.id: reason for one, reason in bad}
        return [(one, reasons.get(one.own.id, "")) for one in whole]

    def _written(self, done: Iterable[Future[list[tuple[_Whole, str]]]]) -> None:
        for future in done:
            for one, reason in future.result():
                if reason:
                    known = one.document.id in self._before
                    self.counts["replaced" if known else "added"] -= 1
                    self._reject(one.document, f"Elasticsearch refused it: {reason}")
                    continue
                self.counts["passages"] += len(one.passages)
                self.documents += 1


def _packed(tokens: TokenSets | None, first: int, end: int) -> list[str]:
    """The tokens of some passages, one after another, as they are written; empty where none are kept."""
    if tokens is None:
        return []
    borders = tokens.borders[first : end + 1].tolist()
    return [packed_tokens(tokens.flat[a:b]) for a, b in itertools.pairwise(borders)]


@dataclass
class _Sample:
    """Some passages of a build, the same for the same documents: what the background is estimated on."""

    kept: list[tuple[str, int, NDArray[np.float32]]] = field(default_factory=list)
    """First words, number of the document, vector."""
    seen: int = 0
    documents: int = 0
    chance: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def see(self, document: Document, spans: Sequence[tuple[int, int]], vectors: Matrix) -> None:
        """Take a passage, or not: reservoir sampling, each of all passages as likely as another."""
        self.documents += 1
        for (start, _), vector in zip(spans, vectors, strict=True):
            self.seen += 1
            place = self.seen - 1 if self.seen <= SAMPLE else int(self.chance.integers(self.seen))
            if place < SAMPLE:
                words = first_words(document.text, start)
                self.kept[place : place + 1] = [(words, self.documents, vector.copy())]

    def background(self, encoder: Encoder) -> float:
        """The mean cosine of queries and passages that have nothing to do with each other."""
        if not self.kept:
            return 0.0
        queries, numbers, vectors = zip(*self.kept, strict=True)
        return background(queries, np.array(numbers), np.stack(vectors), encoder)
