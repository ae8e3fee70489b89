"""Searching es://NAME: the same hits as a folder, a signal that fails, nodes that are away, rebuilds while served."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

import tandem as api
from configs.errors import BackendError, ConfigError
from configs.settings import ElasticsearchSettings, SearchSettings
from demo.elasticsearch_node import free_port
from indexer.build import build_index
from indexer.cluster import ClusterIndex
from indexer.cluster_build import add_to_cluster, build_in_cluster
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document, Kind, Matrix, Where
from indexer.vectors import unit_rows
from retriever.retriever import Retriever
from webui.app import create_app

TOPICS = ["hospital", "castle", "river", "bread", "engine", "violin", "glacier", "harvest"]
PLACES = ["prague", "vienna", "dhaka", "kyoto", "lima"]
QUERIES = [
    "hospital near prague",
    "bread engine kyoto",
    "old violin",
    "number017 lima",
    "the harvest",
]


def documents(count: int = 150) -> list[Document]:
    """Of one to three sentences; in English, so that both sides have one language's idf."""
    found = []
    for n in range(count):
        sentences = [
            f"The {TOPICS[(n + i) % 8]} near {PLACES[(n * 3 + i) % 5]} has number{n:03} and part{i}."
            for i in range(n % 3 + 1)
        ]
        fields = {"place": PLACES[n % 5]}
        found.append(Document(f"d{n:03}", " ".join(sentences), f"Title {n}", "", "en", fields))
    return found


@pytest.fixture
def settings(elasticsearch_url: str) -> ElasticsearchSettings:
    return ElasticsearchSettings(hosts=(elasticsearch_url,), replicas=0, retries=1)


@pytest.fixture
def address(elasticsearch_name: str, settings: ElasticsearchSettings) -> str:
    """An index of the documents."""
    name = f"es://{elasticsearch_name}"
    build_in_cluster(name, documents(), HashEncoder(64), settings=settings, model="hash")
    return name


@pytest.fixture
def cluster(address: str, settings: ElasticsearchSettings) -> Iterator[Retriever]:
    retriever = Retriever.open(address, HashEncoder(64), elasticsearch=settings)
    yield retriever
    retriever.collection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Retriever:
    build_index(tmp_path / "index", documents(), HashEncoder(64), model="hash")
    return Retriever.open(tmp_path / "index", HashEncoder(64))


def test_a_cluster_gives_the_hits_of_a_folder(cluster: Retriever, folder: Retriever) -> None:
    for mode in ("lexical", "dense", "hybrid"):
        for query in QUERIES:
            ours = cluster.search(query, k=20, mode=mode)
            theirs = folder.search(query, k=20, mode=mode)
            assert [hit.document for hit in ours] == [hit.document for hit in theirs], (mode, query)
            assert [hit.passage for hit in ours] == [hit.passage for hit in theirs]
            assert [h.score for h in ours] == pytest.approx([h.score for h in theirs], abs=5e-3)


def test_paging_filters_and_scores_work_as_in_a_folder(
    cluster: Retriever, folder: Retriever
) -> None:
    query = "hospital near prague"
    whole = [hit.document.id for hit in cluster.search(query, k=30)]
    paged = [
        hit.document.id for at in (0, 10, 20) for hit in cluster.search(query, k=10, offset=at)
    ]
    assert paged == whole
    lima = Where(frozenset(["en"]), {"place": "lima"})
    found = cluster.search(query, k=50, where=lima)
    assert {hit.document.fields["place"] for hit in found} == {"lima"}
    assert {h.document.id for h in found} == {
        h.document.id for h in folder.search(query, 50, where=lima)
    }
    hits = cluster.search(query, k=5)
    scores = cluster.score(query, [hit.document.id for hit in hits])
    assert scores.tolist() == pytest.approx([hit.score for hit in hits], abs=1e-6)
    with pytest.raises(ConfigError, match="not in the index: 'nobody'"):
        cluster.score(query, ["nobody"])
    with pytest.raises(ConfigError, match="xx"):
        cluster.search(query, where=Where(frozenset(["xx"])))


def test_many_queries_are_ranked_as_each_alone(cluster: Retriever) -> None:
    queries = QUERIES * 40  # more searches than one request holds
    together = cluster.rank(queries, depth=10)
    assert together[:5] == [cluster.rank([query], depth=10)[0] for query in QUERIES]
    assert together[5:] == together[:5] * 39


def test_shards_share_their_statistics(
    elasticsearch_name: str, settings: ElasticsearchSettings, cluster: Retriever
) -> None:
    name = f"es://{elasticsearch_name}-sharded"
    three = dataclasses.replace(settings, shards=3)
    build_in_cluster(name, documents(), HashEncoder(64), settings=three, model="hash")
    sharded = Retriever.open(name, HashEncoder(64), elasticsearch=three)
    for mode in ("lexical", "hybrid"):
        for query in QUERIES:
            ours, theirs = sharded.search(query, 20, mode), cluster.search(query, 20, mode)
            assert [h.document.id for h in ours] == [h.document.id for h in theirs], (mode, query)
            assert [h.score for h in ours] == pytest.approx([h.score for h in theirs], rel=2e-3)


def test_words_of_every_language_of_the_index_are_found(
    elasticsearch_name: str, settings: ElasticsearchSettings
) -> None:
    texts = {
        "en": "The hospital is open all day.", "cs": "Nemocnice Prometheus je otevřena celý den.",
        "ja": "病院は一日中開いています。", "bn": "হাসপাতাল সারাদিন খোলা থাকে।", "": "zzqx Prometheus",
    }  # fmt: skip
    name = f"es://{elasticsearch_name}-many"
    many = [Document(f"d-{lang}", text, "", "", lang) for lang, text in texts.items() if lang]
    many.append(Document("d-", "qzx 12 Prometheus", "", "", "la"))
    build_in_cluster(name, many, HashEncoder(64), settings=settings, model="hash")
    opened = Retriever.open(name, HashEncoder(64), elasticsearch=settings)
    for query, expected in (
        ("nemocnici", {"d-cs"}),
        ("病院", {"d-ja"}),
        ("হাসপাতাল", {"d-bn"}),
        ("prometheus", {"d-cs", "d-"}),
    ):
        found = opened.search(query, mode="lexical")
        assert {hit.document.id for hit in found} == expected, query


class Shortened(HashEncoder):
    """The encoder of the index by name, whose query vectors are of other dimensions."""

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        vectors = super().encode(texts, kind)
        return unit_rows(vectors[:, :32].copy())


def test_when_one_signal_fails_the_other_answers_and_the_page_says_so(
    address: str, settings: ElasticsearchSettings, cluster: Retriever
) -> None:
    broken = Retriever.open(address, Shortened(64), elasticsearch=settings)
    query = "hospital near prague"
    hits = broken.search(query, k=5)
    words = cluster.search(query, k=5, mode="lexical")
    assert [hit.document.id for hit in hits] == [hit.document.id for hit in words]
    assert all("dense" not in hit.parts and "lexical" in hit.parts for hit in hits)
    with pytest.raises(BackendError, match="dimension"):
        broken.search(query, mode="dense")
    client = create_app(broken).test_client()
    answer = client.get("/", query_string={"q": query})
    assert answer.status_code == 200
    assert "The search by meaning did not answer" in answer.text
    assert client.get("/api/v1/search", query_string={"q": query}).get_json()["failed"] == ["dense"]
    whole = create_app(cluster).test_client()
    assert "did not answer" not in whole.get("/", query_string={"q": query}).text
    assert whole.get("/api/v1/search", query_string={"q": query}).get_json()["failed"] == []


def test_another_node_answers_when_the_first_is_away(
    address: str, settings: ElasticsearchSettings
) -> None:
    hosts = (f"http://127.0.0.1:{free_port()}", *settings.hosts)
    both = dataclasses.replace(settings, hosts=hosts)
    opened = Retriever.open(address, HashEncoder(64), elasticsearch=both)
    for query in QUERIES:
        assert opened.search(query, k=3)


def test_a_page_over_a_cluster_that_is_away_says_so_and_comes_back(
    address: str, settings: ElasticsearchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same open page; its client is led to a closed port, and back."""
    retriever = Retriever.open(address, HashEncoder(64), elasticsearch=settings)
    client = create_app(retriever).test_client()
    assert client.get("/", query_string={"q": "hospital"}).status_code == 200
    opened = retriever.collection
    assert isinstance(opened, ClusterIndex)
    gone = dataclasses.replace(settings, hosts=(f"http://127.0.0.1:{free_port()}",), retries=0)
    away = dataclasses.replace(
        opened.cluster, client=type(opened.cluster.client)(list(gone.hosts), max_retries=0)
    )
    monkeypatch.setattr(opened, "_cluster", away)
    page = client.get("/", query_string={"q": "hospital"})
    assert page.status_code == 503
    assert page.headers["Retry-After"]
    assert "Elasticsearch cannot be reached" in page.text
    answer = client.get("/api/v1/search", query_string={"q": "hospital"})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (503, "unavailable")
    monkeypatch.undo()
    assert client.get("/", query_string={"q": "hospital"}).status_code == 200


def test_a_page_moves_to_what_was_added_and_to_a_rebuilt_index(
    address: str, settings: ElasticsearchSettings
) -> None:
    retriever = Retriever.open(address, HashEncoder(64), elasticsearch=settings)
    assert not retriever.refresh()
    before = retriever.collection.facts
    fresh = [Document("new", "a submarine dives", "", "", "en")]
    add_to_cluster(address, fresh, HashEncoder(64), settings=settings)
    assert retriever.refresh()
    assert retriever.search("submarine", k=1)[0].document.id == "new"
    assert retriever.collection.facts.generation > before.generation

    def watched() -> Iterator[Document]:
        for document in documents(20):
            assert retriever.search("submarine", k=1)[0].document.id == "new"
            yield document

    build_in_cluster(
        address, watched(), HashEncoder(64), settings=settings, model="hash", overwrite=True
    )
    assert retriever.refresh()
    assert len(retriever.collection) == 20
    assert retriever.collection.facts.generation > before.generation + 1


def test_the_python_api_and_the_command_search_a_cluster(
    address: str, settings: ElasticsearchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_ES_HOSTS", settings.hosts[0])
    # written with 64 dimensions, where the encoder `hash` has another number: the page of an encoder
    opened = api.open(address, HashEncoder(64))
    assert len(opened) == 150
    assert opened.get("d017") == documents()[17]
    assert [hit.document.id for hit in opened.search("number017", k=1)] == ["d017"]
    assert "d017" in opened
    assert next(iter(opened)).id == "d000"
    opened.add([{"id": "new", "text": "a submarine dives", "lang": "en"}], progress=False)
    assert opened.search("submarine", k=1)[0].document.id == "new"
    opened.delete("new")
    assert "new" not in opened
    opened.close()
    answer = CliRunner().invoke(api.tandem, ["search", "hospital", "-i", address])
    assert isinstance(answer.exception, BackendError)
    assert "written with the encoder" in str(answer.exception)


def test_a_query_of_ten_thousand_characters_is_answered(cluster: Retriever) -> None:
    words = " ".join(f"word{n:04}" for n in range(1000))[: 10_000 - 30] + " hospital number017"
    assert cluster.search(words, k=3, mode="lexical")
    assert cluster.search(words, k=3)


def test_a_pool_deeper_than_elasticsearch_gives_is_cut(cluster: Retriever) -> None:
    deep = cluster.with_settings(SearchSettings(pool=50_000))
    assert len(deep.search("hospital near prague", k=200)) == 150
