"""An index in a real Elasticsearch: built, resumed, added to, deleted from, replaced, checked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from elasticsearch_server import VERSIONS

from configs.errors import BackendError, ConfigError, DocumentError
from configs.settings import ElasticsearchSettings, PassageSettings
from indexer.cluster import ClusterIndex
from indexer.cluster_build import add_to_cluster, build_in_cluster, delete_from_cluster
from indexer.cluster_verify import cluster_info, documents_in, verify_cluster
from indexer.elastic.bulk import entry, write
from indexer.elastic.connection import connect
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document, Matrix
from indexer.text.rejects import Reject

SMALL = PassageSettings(size=60, overlap=0)
LONG = (
    "The glacier moves. It carries stones down to the valley. The valley fills. A lake forms there."
)


@pytest.fixture
def settings(elasticsearch_url: str) -> ElasticsearchSettings:
    return ElasticsearchSettings(hosts=(elasticsearch_url,), replicas=0)


@pytest.fixture
def address(elasticsearch_name: str) -> str:
    return f"es://{elasticsearch_name}"


@pytest.fixture
def client(elasticsearch_url: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(elasticsearch_url, request_timeout=60) as opened:
        yield opened


def some(count: int, first: int = 0) -> list[Document]:
    return [
        Document(f"d{n:04}", f"harvest number{n:04} near the river", "", "", "en")
        for n in range(first, first + count)
    ]


def indices(client: Elasticsearch, address: str) -> list[str]:
    return sorted(client.indices.get(index=f"{address.removeprefix('es://')}*").body)


def texts(address: str, settings: ElasticsearchSettings) -> dict[str, str]:
    return {document.id: document.text for document in documents_in(address, settings)}


def test_a_build_is_seen_whole_behind_its_name(
    address: str, settings: ElasticsearchSettings, client: Elasticsearch
) -> None:
    documents = [
        *some(30),
        Document("long", LONG, "Ice", "https://example.org/ice", "en", {"year": "1999"}),
    ]
    report = build_in_cluster(address, documents, HashEncoder(), settings=settings, passages=SMALL)
    assert (report.added, report.documents, report.generation) == (31, 31, 1)
    assert list(documents_in(address, settings)) == documents  # in the order of their ids
    opened = ClusterIndex.open(address, None, settings)  # the encoder is known by its name
    assert len(opened) == 31
    keys = opened.passages(["long"])["long"].tolist()
    places = opened.passage_places(keys)
    slices = [LONG[start:end] for _, start, end in (places[key] for key in keys)]
    assert len(slices) > 1
    assert "".join(slices) == LONG
    assert opened.count("passage") == report.passages == 30 + len(slices)
    written = HashEncoder().encode([f"Ice\n{text}" for text in slices])
    assert (
        np.array_equal(opened.vectors(keys), written)
        or np.abs(opened.vectors(keys) - written).max() < 1e-6
    )
    assert indices(client, address) == [f"{opened.name}-000001"]
    opened.close()


def test_a_name_that_is_taken_is_replaced_only_when_asked_in_one_step(
    address: str, settings: ElasticsearchSettings, client: Elasticsearch
) -> None:
    build_in_cluster(address, some(3), HashEncoder(), settings=settings)
    reader = ClusterIndex.open(address, None, settings)
    with pytest.raises(BackendError, match="holds an index already; use `tandem index add`"):
        build_in_cluster(address, some(5), HashEncoder(), settings=settings)
    assert reader.newest() is None

    def watched() -> Iterator[Document]:
        for document in some(2, first=100):
            assert set(texts(address, settings)) == {"d0000", "d0001", "d0002"}
            yield document

    build_in_cluster(address, watched(), HashEncoder(), settings=settings, overwrite=True)
    assert set(texts(address, settings)) == {"d0100", "d0101"}
    assert reader.newest() is not None
    assert len(indices(client, address)) == 1


def test_add_replaces_what_changed_passes_over_the_rest_and_leaves_no_passage_behind(
    address: str, settings: ElasticsearchSettings
) -> None:
    documents = [*some(4), Document("long", LONG, "", "", "en")]
    build_in_cluster(address, documents, HashEncoder(), settings=settings, passages=SMALL)
    reader = ClusterIndex.open(address, None, settings)
    changed = [Document("long", "Short now.", "", "", "en"), *some(4), *some(2, first=50)]
    report = add_to_cluster(address, changed, settings=settings)
    assert (report.added, report.replaced, report.unchanged) == (2, 1, 4)
    assert report.documents == 7
    assert reader.newest() is not None
    opened = ClusterIndex.open(address, None, settings)
    assert opened.count("passage") == 7
    assert texts(address, settings)["long"] == "Short now."
    assert verify_cluster(address, settings) == []
    again = add_to_cluster(address, changed, settings=settings)
    assert (again.added, again.replaced, again.unchanged) == (0, 0, 7)
    assert opened.newest() is None


def test_delete_takes_documents_and_passages_or_nothing(
    address: str, settings: ElasticsearchSettings
) -> None:
    documents = [*some(4), Document("long", LONG, "", "", "en")]
    build_in_cluster(address, documents, HashEncoder(), settings=settings, passages=SMALL)
    with pytest.raises(DocumentError, match=r"not in the index: 'gone'; nothing was deleted"):
        delete_from_cluster(address, ["d0001", "gone"], settings)
    assert len(texts(address, settings)) == 5
    report = delete_from_cluster(address, ["long", "d0001"], settings)
    assert (report.deleted, report.documents) == (2, 3)
    assert set(texts(address, settings)) == {"d0000", "d0002", "d0003"}
    assert verify_cluster(address, settings) == []
    assert add_to_cluster(address, documents, settings=settings).added == 2


class Counting(HashEncoder):
    """Counts what it encodes."""

    encoded = 0

    def encode(self, texts: Any, kind: Any = "passage") -> Matrix:
        self.encoded += len(texts) if kind == "passage" else 0
        return super().encode(texts, kind)


def interrupted(documents: list[Document], after: int) -> Iterator[Document]:
    yield from itertools.islice(documents, after)
    raise KeyboardInterrupt


def test_an_interrupted_build_is_not_seen_and_goes_on_where_it_stopped(
    address: str, settings: ElasticsearchSettings, client: Elasticsearch
) -> None:
    documents = some(2500)
    with pytest.raises(KeyboardInterrupt):
        build_in_cluster(address, interrupted(documents, 2100), Counting(), settings=settings)
    with pytest.raises(BackendError, match="no such index; make one with"):
        ClusterIndex.open(address, None, settings)
    with pytest.raises(
        BackendError, match=r"a build with other settings .*passages\.size was 1000, is 60"
    ):
        build_in_cluster(address, documents, HashEncoder(), settings=settings, passages=SMALL)
    encoder = Counting()
    report = build_in_cluster(address, documents, encoder, settings=settings)
    assert report.documents == 2500
    assert report.unchanged > 0
    assert encoder.encoded == report.added == 2500 - report.unchanged
    assert len(indices(client, address)) == 1
    assert verify_cluster(address, settings) == []


def test_restart_discards_what_an_interrupted_build_wrote(
    address: str, settings: ElasticsearchSettings, client: Elasticsearch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_in_cluster(address, interrupted(some(1500), 1200), HashEncoder(), settings=settings)
    build_in_cluster(
        address, some(3), HashEncoder(), settings=settings, passages=SMALL, restart=True
    )
    assert set(texts(address, settings)) == {"d0000", "d0001", "d0002"}
    assert len(indices(client, address)) == 1


class Broken(HashEncoder):
    """Gives no numbers for one word."""

    def encode(self, texts: Any, kind: Any = "passage") -> Matrix:
        vectors = super().encode(texts, kind)
        for row, text in enumerate(texts):
            if "poison" in text:
                vectors[row] = np.nan
        return vectors


def test_what_elasticsearch_refuses_is_set_aside_and_the_rest_is_indexed(
    address: str, settings: ElasticsearchSettings
) -> None:
    rejects: list[Reject] = []
    documents = [*some(3), Document("bad", "poison", "", "", "en"), *some(2, first=10)]
    documents.append(Document("", "without an id"))
    report = build_in_cluster(
        address, documents, Broken(), settings=settings, on_reject=rejects.append
    )
    assert (report.added, report.rejected) == (5, 2)
    assert {reject.place for reject in rejects} == {"bad", ""}
    assert "Elasticsearch refused it" in next(r.reason for r in rejects if r.place == "bad")
    assert "bad" not in texts(address, settings)
    assert verify_cluster(address, settings) == []


def test_a_bulk_request_of_which_some_is_refused_writes_the_rest(
    address: str, settings: ElasticsearchSettings
) -> None:
    build_in_cluster(address, some(1), HashEncoder(), settings=settings)
    cluster = connect(settings)
    name = address.removeprefix("es://")
    good = {"kind": "passage", "key": "p:x#000000", "document": "x"}
    refused = write(
        cluster,
        name,
        f"{name}-000001",
        [entry("p:x#000000", good), entry("p:y#000000", {**good, "surprise": 1})],
    )
    assert list(refused) == ["p:y#000000"]
    assert "surprise" in refused["p:y#000000"]
    assert cluster.client.exists(index=name, id="p:x#000000")


def test_ids_of_any_length_and_letters_are_kept(
    address: str, settings: ElasticsearchSettings
) -> None:
    ids = ["a#000001", "a", "漢" * 512, "漢" * 511 + "字", "d:x", "x y/z?&%", '"q"\\', "é" * 240]
    documents = [Document(id_, f"text of {n}", "", "", "en") for n, id_ in enumerate(ids)]
    build_in_cluster(address, documents, HashEncoder(), settings=settings)
    assert texts(address, settings) == {d.id: d.text for d in documents}
    opened = ClusterIndex.open(address, None, settings)
    for document in documents:
        assert opened.documents([document.id]) == {document.id: document}
        assert len(opened.passage_places(opened.passages([document.id])[document.id].tolist())) == 1
    assert delete_from_cluster(address, ids, settings).documents == 0


@pytest.mark.parametrize("elasticsearch_url", VERSIONS[:1], indirect=True)  # 20 seconds each
def test_a_document_of_ten_million_characters_is_indexed(
    address: str, settings: ElasticsearchSettings
) -> None:
    text = ("the river runs past the castle. " * 320_000)[:10_000_000]
    big = PassageSettings(size=100_000, overlap=0)
    report = build_in_cluster(
        address,
        [Document("big", text, "", "", "en")],
        HashEncoder(),
        settings=settings,
        passages=big,
    )
    assert report.documents == 1
    assert len(texts(address, settings)["big"]) == 10_000_000


def test_an_index_of_somebody_else_is_left_alone(
    address: str, settings: ElasticsearchSettings, client: Elasticsearch
) -> None:
    name = address.removeprefix("es://")
    client.indices.create(index=name)
    for attempt in (
        lambda: build_in_cluster(
            address, some(1), HashEncoder(), settings=settings, overwrite=True
        ),
        lambda: ClusterIndex.open(address, None, settings),
        lambda: delete_from_cluster(address, ["d0000"], settings),
        lambda: verify_cluster(address, settings),
    ):
        with pytest.raises(BackendError, match="an index that Tandem did not make; choose another"):
            attempt()
    assert indices(client, address) == [name]


def test_an_index_of_another_encoder_is_refused_with_both_names(
    address: str, settings: ElasticsearchSettings
) -> None:
    build_in_cluster(address, some(2), HashEncoder(), settings=settings)
    with pytest.raises(
        BackendError, match=r"written with the encoder .* not with .* open it with that one"
    ):
        ClusterIndex.open(address, HashEncoder(16), settings)
    with pytest.raises(BackendError, match="written with the encoder"):
        add_to_cluster(address, some(1), HashEncoder(16), settings=settings)


def test_a_mapping_that_differs_is_refused_with_every_difference(
    address: str, settings: ElasticsearchSettings, client: Elasticsearch
) -> None:
    build_in_cluster(address, some(2), HashEncoder(), settings=settings)
    name = address.removeprefix("es://")
    mapping = client.indices.get_mapping(index=name)[f"{name}-000001"]["mappings"]
    mapping["properties"]["lang"] = {"type": "text"}
    del mapping["properties"]["raw"]
    mapping["properties"]["words"]["properties"]["en"] = {"type": "text"}
    client.indices.create(index=f"{name}-other", mappings=mapping)
    client.indices.put_alias(index=f"{name}-other", name=f"{name}-alias")
    with pytest.raises(BackendError) as caught:
        ClusterIndex.open(f"{address}-alias", None, settings)
    for told in (
        "lang is of the type text, not keyword",
        "raw is missing",
        "words.en is not text under",
    ):
        assert told in str(caught.value)
    assert len(verify_cluster(f"{address}-alias", settings)) == 3


def test_an_index_of_another_format_is_refused(
    address: str, settings: ElasticsearchSettings, client: Elasticsearch
) -> None:
    name = address.removeprefix("es://")
    client.indices.create(index=name, mappings={"_meta": {"tandem": {"format": 99}}})
    with pytest.raises(BackendError, match="format 99; this version of Tandem reads format 1"):
        ClusterIndex.open(address, None, settings)


def test_an_alias_of_two_indices_is_refused(
    address: str, settings: ElasticsearchSettings, client: Elasticsearch
) -> None:
    name = address.removeprefix("es://")
    for number in (1, 2):
        client.indices.create(index=f"{name}-{number}", aliases={name: {}})
    with pytest.raises(BackendError, match="the alias leads to 2 indices"):
        ClusterIndex.open(address, None, settings)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "it is empty"),
        ("Notes", "write es://notes"),
        ("my notes", "it holds ' '"),
        ("a/b", "it holds '/'"),
        ("host:9200", "it holds ':'"),
        ("_all", "it begins with '_'"),
        ("-x", "it begins with '-'"),
        (".hidden", "it begins with '.'"),
        ("a*", r"it holds '\*'"),
        ("x" * 201, "longer than 200 bytes"),
    ],
)
def test_a_name_that_elasticsearch_refuses_is_refused_before_it_is_asked(
    name: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        build_in_cluster(f"es://{name}", some(1), HashEncoder())


def test_no_document_makes_no_index(
    address: str, settings: ElasticsearchSettings, client: Elasticsearch
) -> None:
    for documents in ([], [Document("", "no id")]):
        with pytest.raises(DocumentError, match="no document could be used; nothing was indexed"):
            build_in_cluster(address, documents, HashEncoder(), settings=settings)
    assert indices(client, address) == []


def test_a_nearly_full_disk_is_told_and_nothing_is_lost(
    address: str, settings: ElasticsearchSettings, client: Elasticsearch
) -> None:
    build_in_cluster(address, some(3), HashEncoder(), settings=settings)
    name = address.removeprefix("es://")
    # what Elasticsearch itself sets at its flood-stage watermark
    block = "index.blocks.read_only_allow_delete"
    client.indices.put_settings(index=name, settings={block: True})
    with pytest.raises(BackendError, match=r"disk is nearly full.*make room and run this again"):
        add_to_cluster(address, some(2, first=10), settings=settings)
    client.indices.put_settings(index=name, settings={block: None})
    assert add_to_cluster(address, some(2, first=10), settings=settings).documents == 5
    assert verify_cluster(address, settings) == []


def test_a_red_index_is_told_by_searches_and_by_verify(
    address: str, settings: ElasticsearchSettings, client: Elasticsearch
) -> None:
    build_in_cluster(address, some(3), HashEncoder(), settings=settings)
    name = address.removeprefix("es://")
    mapping = client.indices.get_mapping(index=name)[f"{name}-000001"]["mappings"]
    nowhere = "index.routing.allocation.require._name"
    client.indices.create(
        index=f"{name}-lost",
        mappings=mapping,
        settings={nowhere: "nowhere", "number_of_replicas": 0},
        aliases={f"{name}-red": {}},
        wait_for_active_shards="0",
    )
    with pytest.raises(BackendError, match=r"the cluster is not ready.*allocation/explain"):
        ClusterIndex.open(f"{address}-red", None, settings)
    assert "0 of 1 primary shards" in verify_cluster(f"{address}-red", settings)[0]
    client.indices.put_settings(index=f"{name}-lost", settings={nowhere: None})
    client.cluster.health(index=f"{name}-lost", wait_for_status="green", timeout="30s")
    assert len(ClusterIndex.open(f"{address}-red", None, settings)) == 0


def test_verify_finds_what_was_changed_and_what_is_missing(
    address: str, settings: ElasticsearchSettings, client: Elasticsearch
) -> None:
    documents = [*some(5), Document("long", LONG, "", "", "en")]
    build_in_cluster(address, documents, HashEncoder(), settings=settings, passages=SMALL)
    name = address.removeprefix("es://")
    client.delete(index=name, id="p:long#000001")
    source = client.get(index=name, id="d:d0002")["_source"]
    source |= {"kind": "document", "key": "d:d0002", "lang": "en"}
    source["content"]["text"] = "something else"
    client.index(index=name, id="d:d0002", document=source)
    client.indices.refresh(index=name)
    problems = verify_cluster(address, settings)
    assert "the document 'd0002' is not as it was written" in problems
    assert "the passage 1 of the document 'long' is missing" in problems
    assert any("passages are there, its documents have" in problem for problem in problems)


def test_info_says_what_there_is(address: str, settings: ElasticsearchSettings) -> None:
    documents = [*some(4), Document("cs", "Řeka teče kolem hradu.", "", "", "cs")]
    build_in_cluster(address, documents, HashEncoder(), settings=settings)
    found = cluster_info(address, settings)
    assert (found.documents, found.passages) == (5, 5)
    assert found.languages == {"en": 4, "cs": 1}
    assert (found.vectors, found.shards, found.replicas, found.health) == (
        "int8_hnsw",
        1,
        0,
        "green",
    )
    assert found.bytes > 1000
    assert found.note.encoder.fingerprint == HashEncoder().fingerprint


@pytest.mark.parametrize("vectors", ["hnsw", "int4_hnsw", "bbq_hnsw"])
def test_other_kinds_of_quantised_vectors_give_exact_scores_too(
    vectors: Any, address: str, elasticsearch_url: str
) -> None:
    settings = ElasticsearchSettings(
        hosts=(elasticsearch_url,), replicas=0, shards=2, vectors=vectors, oversample=3.0
    )
    build_in_cluster(address, some(200), HashEncoder(64), settings=settings, model="hash")
    opened = ClusterIndex.open(address, HashEncoder(64), settings)
    (query,) = opened.queries(["harvest number0042 near the river"])
    found = opened.dense.search(query, 10)
    assert opened.ids(opened.documents_of(found.keys))[0] == "d0042"
    exact = opened.vectors(found.keys.tolist()) @ query.vector
    assert np.abs(found.scores - exact).max() < 2e-6
