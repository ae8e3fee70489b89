"""What an index in Elasticsearch holds, and whether it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from configs.errors import TandemError
from configs.settings import ElasticsearchSettings
from indexer.cluster import ClusterIndex, resolved
from indexer.elastic.address import name_in
from indexer.elastic.connection import connect, explained
from indexer.elastic.mapping import Note, differences, note_in
from indexer.schema import Document
from indexer.storage.store import content_hash
from indexer.written_encoder import reopened

__all__ = ["ClusterInfo", "cluster_info", "documents_in", "verify_cluster"]

SAMPLE = 1_000  # documents whose contents are compared with their hashes
_TOGETHER = 100


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """What `tandem index info` shows of es://NAME."""

    index: str
    """The index that the alias leads to."""
    note: Note
    documents: int
    passages: int
    languages: Mapping[str, int]
    """Documents of each language, most first."""
    vectors: str
    """How they are quantised."""
    shards: int
    replicas: int
    health: str
    """green, yellow (a copy of a shard is missing) or red (all copies of one are)."""
    bytes: int
    """On the disks of the cluster, without replicas."""
    version: str
    """Of Elasticsearch."""


def cluster_info(address: str, settings: ElasticsearchSettings | None = None) -> ClusterInfo:
    """BackendError when the index or the cluster is not there."""
    name = name_in(address)
    cluster = connect(settings)
    index, entry = resolved(cluster, name)
    note = note_in(entry["mappings"], address)
    opened = ClusterIndex(name, cluster, index, note, _NoEncoder(note), 1)
    with explained(cluster, name):
        health = cluster.client.cluster.health(index=index)["status"]
        sizes = cluster.client.indices.stats(index=index, metric=["store"])
        nodes = cluster.client.nodes.info(node_id="_local", filter_path="nodes.*.version")
    shape = entry["settings"]["index"]
    vector = entry["mappings"]["properties"].get("vector", {})
    return ClusterInfo(
        index,
        note,
        opened.count("document"),
        opened.count("passage"),
        opened.count_languages(),
        vector.get("index_options", {}).get("type", ""),
        int(shape["number_of_shards"]),
        int(shape["number_of_replicas"]),
        health,
        int(sizes["_all"]["primaries"]["store"]["size_in_bytes"]),
        next(iter(nodes["nodes"].values()))["version"],
    )


class _NoEncoder:
    """Stands for the encoder where nothing is encoded."""

    max_tokens: int | None = None

    def __init__(self, note: Note) -> None:
        entry = note.encoder
        self.name, self.dim, self.fingerprint = entry.name, entry.dim, entry.fingerprint

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        raise AssertionError("nothing is split without the encoder")

    def encode(self, texts: Sequence[str], kind: str = "passage") -> Any:
        raise AssertionError("nothing is encoded without the encoder")


def documents_in(address: str, settings: ElasticsearchSettings | None = None) -> Iterator[Document]:
    """Every document of es://NAME, in the order of their ids; no encoder is opened."""
    name = name_in(address)
    cluster = connect(settings)
    index, entry = resolved(cluster, name)
    note = note_in(entry["mappings"], address)
    yield from ClusterIndex(name, cluster, index, note, _NoEncoder(note), 1).all_documents()


def verify_cluster(
    address: str,
    settings: ElasticsearchSettings | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[str]:
    """What is wrong with es://NAME, a sentence each; none: it is whole, as far as was looked.

    Health, mapping, encoder and counts are checked, and of `SAMPLE` documents picked at random the
    contents against their hashes, and their passages. BackendError when the cluster is not there.
    """
    name = name_in(address)
    cluster = connect(settings)
    index, entry = resolved(cluster, name)
    note = note_in(entry["mappings"], address)
    with explained(cluster, name):
        health = cluster.client.cluster.health(index=index)
    if health["status"] == "red":
        lost = health["active_primary_shards"]
        total = entry["settings"]["index"]["number_of_shards"]
        return [
            f"the index is red: {lost} of {total} primary shards are there; see GET _cluster/allocation/explain"
        ]
    problems = differences(entry["mappings"], note.encoder.dim)
    if problems:
        return problems
    if not note.ready:
        problems.append("the build that made it has not finished; run it again")
    problems += _encoder_problems(note)
    opened = ClusterIndex(name, cluster, index, note, _NoEncoder(note), 1)
    passages, counted = opened.count("passage"), _counted(opened)
    if passages != counted:
        problems.append(f"{passages:,} passages are there, its documents have {counted:,}")
    sample = _sample(opened)
    for at in range(0, len(sample), _TOGETHER):
        part = sample[at : at + _TOGETHER]
        problems += _document_problems(opened, part)
        if progress is not None:
            progress(len(part))
    return problems


def _encoder_problems(note: Note) -> Iterator[str]:
    entry = note.encoder
    try:
        encoder = reopened(entry)
    except TandemError as error:
        yield f"its encoder cannot be opened: {error}"
        return
    if encoder.fingerprint != entry.fingerprint:
        yield (
            f"the encoder {entry.model} is another one by now (fingerprint {encoder.fingerprint}, "
            f"written with {entry.fingerprint}); build it again"
        )


def _counted(opened: ClusterIndex) -> int:
    """Passages that the documents say they have."""
    body = {
        "size": 0,
        "query": {"term": {"kind": "document"}},
        "aggs": {"passages": {"sum": {"field": "passages"}}},
    }
    return int(opened.answer(body)["aggregations"]["passages"]["value"])


def _sample(opened: ClusterIndex) -> list[str]:
    """Ids of documents picked at random."""
    body = {
        "size": SAMPLE,
        "query": {"function_score": {"query": {"term": {"kind": "document"}}, "random_score": {}}},
        "_source": False,
        "docvalue_fields": ["document"],
    }
    return [hit["fields"]["document"][0] for hit in opened.answer(body)["hits"]["hits"]]


def _document_problems(opened: ClusterIndex, ids: Sequence[str]) -> Iterator[str]:
    """Of these documents: contents that are not what was written, passages that are missing or wrong."""
    documents = opened.documents(ids)
    hashes = opened.hashes(ids)
    passages = opened.passages(ids)
    keys = [key for id_ in ids if id_ in passages for key in passages[id_].tolist()]
    places = opened.passage_places(keys)
    vectors = dict(zip(keys, opened.vectors(keys), strict=True))
    for id_ in ids:
        document = documents.get(id_)
        if document is None:
            continue  # deleted while this was running
        known = {content_hash(document).hex(), content_hash(_undetected(document)).hex()}
        if hashes.get(id_) not in known:
            yield f"the document {id_!r} is not as it was written"
        for number, key in enumerate(passages[id_].tolist()):
            if key not in places:
                yield f"the passage {number} of the document {id_!r} is missing"
                continue
            found, start, end = places[key]
            if found != number or not 0 <= start <= end <= len(document.text):
                yield f"the passage {number} of the document {id_!r} is not a part of its text"
            length = float(np.linalg.norm(vectors[key]))
            if length and abs(length - 1.0) > 1e-3:
                yield f"the vector of the passage {number} of the document {id_!r} has the length {length:.3f}"


def _undetected(document: Document) -> Document:
    """The document as it was given when its language was detected."""
    return Document(document.id, document.text, document.title, document.url, "", document.fields)
