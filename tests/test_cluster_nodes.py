"""Nodes that die: three on loopback, one killed while a build and searches go on; a cluster stopped while served."""

from __future__ import annotations

import collections
import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from configs.errors import BackendError
from configs.settings import ElasticsearchSettings
from demo import elasticsearch_node
from demo.elasticsearch_node import Node, free_port
from indexer.cluster import ClusterIndex
from indexer.cluster_build import add_to_cluster, build_in_cluster
from indexer.cluster_verify import cluster_info, verify_cluster
from indexer.elastic.bulk import entry, write
from indexer.elastic.connection import connect
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document
from retriever.retriever import Retriever
from webui.app import create_app

pytestmark = pytest.mark.stress
VERSION = next(iter(elasticsearch_node.JAVA))
HEAP = 512  # MB a node


@contextlib.contextmanager
def folders() -> Iterator[Callable[[str], Path]]:
    """Folders that another user may write in, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="tandem-nodes-", ignore_cleanup_errors=True) as room:
        Path(room).chmod(0o755)

        def folder(name: str) -> Path:
            made = Path(room) / name
            made.mkdir()
            return made

        yield folder


@pytest.fixture
def three() -> Iterator[dict[str, Node]]:
    """A cluster of three nodes."""
    if (reason := elasticsearch_node.missing(VERSION)) is not None:
        pytest.skip(reason)
    names = ["one", "two", "three"]
    ports = {name: free_port() for name in names}
    settings = {
        "discovery.seed_hosts": [f"127.0.0.1:{port}" for port in ports.values()],
        "cluster.initial_master_nodes": names,
    }
    with folders() as folder, contextlib.ExitStack() as stack:
        nodes = {
            name: Node(
                VERSION, folder(name), name=name, heap_mb=HEAP, settings=settings, short_lived=True,
                transport_port=ports[name],
            )
            for name in names
        }  # fmt: skip
        for node in nodes.values():
            stack.callback(node.kill)
            node.start(wait=False)
        for node in nodes.values():
            node.wait(300)
        client = connect(of(nodes)).client
        client.options(request_timeout=120).cluster.health(wait_for_nodes="3", timeout="100s")
        yield nodes


def of(nodes: dict[str, Node], shards: int = 1) -> ElasticsearchSettings:
    hosts = tuple(node.url for node in nodes.values())
    return ElasticsearchSettings(hosts=hosts, replicas=1, timeout=20, shards=shards)


def documents(count: int, first: int = 0) -> list[Document]:
    return [
        Document(f"d{n:05}", f"harvest number{n:05} near the river in part{n % 97}", "", "", "en")
        for n in range(first, first + count)
    ]


def holder(settings: ElasticsearchSettings, address: str) -> str:
    """The name of the node that holds the first shard's primary."""
    client = connect(settings).client
    rows: Any = client.cat.shards(
        index=f"{address.removeprefix('es://')}-*", h="shard,prirep,node", format="json"
    )
    return next(str(row["node"]) for row in rows if (row["shard"], row["prirep"]) == ("0", "p"))


def test_a_node_killed_while_indexing_loses_no_acknowledged_document(
    three: dict[str, Node],
) -> None:
    settings = of(three, shards=2)
    address = "es://killed"
    build_in_cluster(address, documents(500), HashEncoder(), settings=settings)
    # entries written one request at a time, so that it is known which were acknowledged before the kill
    cluster = connect(settings)
    index = ClusterIndex.open(address, None, settings).index
    acknowledged: list[str] = []
    killed = threading.Event()

    def writing() -> None:
        for number in range(400):
            key = f"x:{number:04}"
            values = {"kind": "other", "key": key, "document": key}
            assert write(cluster, "killed", index, [entry(key, values)]) == {}
            acknowledged.append(key)
            if len(acknowledged) == 150:
                killed.set()

    writer = threading.Thread(target=writing)
    writer.start()

    def slowly() -> Iterator[Document]:
        for document in documents(6000, first=500):
            if document.id == "d02500":
                assert killed.wait(120)
                three.pop(holder(settings, address)).kill()
            yield document

    report = add_to_cluster(address, slowly(), HashEncoder(), settings=settings)
    writer.join(180)
    assert not writer.is_alive()
    assert (report.added, report.documents) == (6000, 6500)
    client = connect(of(three)).client
    client.indices.refresh(index=index)
    kept = int(client.count(index=index, query={"term": {"kind": "other"}})["count"])
    print(f"acknowledged {len(acknowledged)} entries and {report.added} documents; kept {kept}")
    assert kept == len(acknowledged) == 400
    opened = ClusterIndex.open(address, None, of(three))
    assert sorted(opened.document_ids()) == [d.id for d in documents(6500)]
    assert verify_cluster(address, of(three)) == []


def test_searches_go_on_when_a_node_is_killed(three: dict[str, Node]) -> None:
    settings = of(three, shards=2)
    address = "es://searched"
    build_in_cluster(address, documents(2000), HashEncoder(), settings=settings)
    client = connect(settings).client
    client.cluster.health(index="searched", wait_for_status="green", timeout="60s")
    retriever = Retriever.open(address, None, elasticsearch=settings)
    counts: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    stop = threading.Event()

    def searching(first: int) -> None:
        number = first
        while not stop.is_set():
            number = (number + 7) % 2000
            try:
                hits = retriever.search(f"number{number:05}", k=3, mode="lexical")
            except BackendError as error:
                counts["failed"] += 1
                wrong.append(str(error))
                continue
            counts["answered"] += 1
            if [hit.document.id for hit in hits[:1]] != [f"d{number:05}"]:
                counts["wrong"] += 1

    threads = [threading.Thread(target=searching, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(5)
    before = counts["answered"]
    three.pop(holder(settings, address)).kill()
    time.sleep(15)
    settled = counts["failed"]
    meanwhile = counts["answered"]
    time.sleep(10)
    stop.set()
    for thread in threads:
        thread.join(60)
    print(f"before the kill {before} answered; then {dict(counts)}; errors: {wrong[:3]}")
    assert counts["wrong"] == 0
    assert counts["answered"] > meanwhile > before
    assert counts["failed"] == settled, "errors go on after the cluster has settled"
    assert counts["failed"] <= 0.02 * counts["answered"]


def test_a_page_says_503_while_its_cluster_is_stopped_and_comes_back_with_it() -> None:
    if (reason := elasticsearch_node.missing(VERSION)) is not None:
        pytest.skip(reason)
    with folders() as folder, Node(VERSION, folder("one"), heap_mb=HEAP) as node:
        settings = ElasticsearchSettings(hosts=(node.url,), replicas=0, retries=1, timeout=10)
        build_in_cluster("es://served", documents(50), HashEncoder(), settings=settings)
        client = create_app(
            Retriever.open("es://served", None, elasticsearch=settings)
        ).test_client()

        def status() -> int:
            return client.get("/", query_string={"q": "number00017"}).status_code

        assert status() == 200
        node.stop()
        page = client.get("/", query_string={"q": "number00017"})
        assert page.status_code == 503
        assert "Elasticsearch cannot be reached" in page.text
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        node.start()
        end = time.monotonic() + 60
        while status() != 200 and time.monotonic() < end:
            time.sleep(0.5)
        assert status() == 200
        assert client.get("/readyz").status_code == 200
        assert cluster_info("es://served", settings).documents == 50


def test_a_build_that_was_killed_with_its_cluster_goes_on(tmp_path: Path) -> None:
    if (reason := elasticsearch_node.missing(VERSION)) is not None:
        pytest.skip(reason)
    with folders() as folder, Node(VERSION, folder("one"), heap_mb=HEAP) as node:
        settings = ElasticsearchSettings(hosts=(node.url,), replicas=0, retries=0, timeout=10)

        client = connect(settings).client

        def cut() -> Iterator[Document]:
            for document in documents(5000):
                if document.id == "d03500":
                    while not client.exists(index="cut-000001", id="d:d00000"):
                        time.sleep(0.1)
                    node.kill()
                yield document

        with pytest.raises(BackendError, match=r"what was written is kept|cannot be reached"):
            build_in_cluster("es://cut", cut(), HashEncoder(), settings=settings)
        node.start()
        report = build_in_cluster("es://cut", documents(5000), HashEncoder(), settings=settings)
        print(f"{report.unchanged} of 5000 documents were there already")
        assert report.documents == 5000
        assert report.unchanged > 0
        assert verify_cluster("es://cut", settings) == []
