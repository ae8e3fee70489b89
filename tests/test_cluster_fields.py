"""Conditions on documents' own fields in a cluster: the documents that a folder finds, for every comparison."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.settings import ElasticsearchSettings, SearchSettings
from indexer.build import build_index
from indexer.cluster import ClusterIndex
from indexer.cluster_build import add_to_cluster, build_in_cluster
from indexer.elastic.conditions import ordered_terms
from indexer.encoders.hash_encoder import HashEncoder
from indexer.folder import IndexFolder
from indexer.schema import Document, Where
from indexer.text.conditions import parse_condition
from retriever.retriever import Retriever

FIELDS: list[dict[str, str]] = [
    {"price": "3", "date": "1880-05-01", "tag": '["red", "a b"]'},
    {"price": "3.0", "date": "1880", "tag": "red"},
    {"price": "-7.5", "date": "1880-12-31", "tag": "blue"},
    {"price": "1e3", "date": "1881-01-01", "tag": "x" * 500},
    {"price": "0", "date": "1.6.1880", "tag": '["blue", "green"]'},
    {"price": "-0", "date": "1880-05-01T10:30+02:00"},
    {"DATE": "0950-01-01", "odd name": "=", "tag": "red|green"},
    {},
]
CONDITIONS = [
    *(f"price{op}{value}" for op in ("=", "!=", "<", "<=", ">", ">=") for value in ("3", "0", "-7.5", "900")),
    *(f"date{op}{value}" for op in ("=", "!=", "<", "<=", ">", ">=") for value in ("1880", "1880-05", "1880-05-01", "1881")),
    "tag=red", "TAG=red", "tag!=red", 'tag="a b"', "tag in (blue, green)", f"tag={'x' * 500}", "tag=re", 'tag="red|green"',
    '"odd name"="="', "lang=cs", "not lang=cs and price>0", "price>=0 and (tag=red or tag=green)",
    "not (price<3 or tag=blue)", "date>=1880-05-01 and date<1880-06-02",
]  # fmt: skip

WORDINGS = [
    Document("a", "The great fire burned the old town and its docks.", "Disaster", "", "en"),
    Document("b", "A great many people saw the fire in the harbour.", "Great fire", "", "en"),
    Document("c", "The harbour has ships and docks.", "Ships", "", "en"),
    Document("d", "Velký požár zničil přístav.", "Požár", "", "cs"),
    Document("e", "東京大学の歴史と大火。", "大学", "", "ja"),
    Document("f", "The harbour is quiet. " * 80 + "Only the great fire was seen.", "", "", "en"),
]


def documents() -> list[Document]:
    return [
        Document(f"d{n}", f"harvest number{n}", "", "", "cs" if n % 3 == 0 else "en", fields)
        for n, fields in enumerate(FIELDS)
    ]


@pytest.fixture
def settings(elasticsearch_url: str) -> ElasticsearchSettings:
    return ElasticsearchSettings(hosts=(elasticsearch_url,), replicas=0)


@pytest.fixture
def cluster(elasticsearch_name: str, settings: ElasticsearchSettings) -> Iterator[ClusterIndex]:
    address = f"es://{elasticsearch_name}"
    build_in_cluster(address, documents(), HashEncoder(), settings=settings)
    opened = ClusterIndex.open(address, HashEncoder(), settings)
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[IndexFolder]:
    build_index(tmp_path / "index", documents(), HashEncoder())
    opened = IndexFolder.open(tmp_path / "index", HashEncoder())
    yield opened
    opened.close()


def found(index: ClusterIndex | IndexFolder, condition: str) -> tuple[set[str], set[str]]:
    """The documents that each signal finds under a condition."""
    where = Where(condition=parse_condition(condition))
    index.check_where(where)
    (query,) = index.queries(["harvest"])
    keys = (side.search(query, 50, where).keys for side in (index.lexical, index.dense))
    lexical, dense = (set(index.ids(index.documents_of(some))) for some in keys)
    return lexical, dense


def test_every_comparison_finds_what_a_folder_finds(
    cluster: ClusterIndex, folder: IndexFolder
) -> None:
    assert cluster.fields == folder.fields
    for condition in CONDITIONS:
        lexical, dense = found(cluster, condition)
        assert (lexical, dense) == found(folder, condition), condition
        assert lexical == dense
    assert found(cluster, "price=3")[0] == {"d0", "d1"}
    assert found(cluster, "date=1880")[0] == {"d0", "d1", "d2", "d4", "d5"}


def test_values_are_counted_as_in_a_folder(cluster: ClusterIndex, folder: IndexFolder) -> None:
    for name in ("tag", "price", "odd name"):
        assert cluster.field_counts(name) == folder.field_counts(name)
    assert cluster.field_counts("tag")["red"] == 2


def test_a_field_that_no_document_has_is_an_error_with_the_nearest(cluster: ClusterIndex) -> None:
    with pytest.raises(ConfigError, match=r"no document has a field 'prise'; did you mean price\?"):
        found(cluster, "prise=3")
    with pytest.raises(ConfigError, match="price is a number, and 'cheap' is none"):
        found(cluster, "price<cheap")


def test_kinds_are_declared_and_change_with_what_is_added(
    cluster: ClusterIndex, settings: ElasticsearchSettings
) -> None:
    assert cluster.fields["price"] == "number"
    more = [Document("e", "harvest", "", "", "en", {"price": "cheap", "size": "1900"})]
    add_to_cluster(cluster.address, more, HashEncoder(), settings=settings)
    newer = cluster.newest()
    assert newer is not None
    assert newer.fields["price"] == "keyword"
    assert newer.fields["size"] == "number"
    with pytest.raises(ConfigError, match="no document has a field 'sizes'"):
        add_to_cluster(
            cluster.address, more, HashEncoder(), settings=settings, kinds={"sizes": "date"}
        )
    add_to_cluster(cluster.address, more, HashEncoder(), settings=settings, kinds={"size": "date"})
    newest = newer.newest()
    assert newest is not None
    assert newest.fields["size"] == "date"
    assert found(newest, "size<1900-02")[0] == {"e"}


def test_keys_of_numbers_are_in_the_order_of_the_numbers() -> None:
    numbers = [-1e300, -7.5, -1, -1e-300, 0, 1e-300, 0.1, 1, 2, 10, 1e5, 1e300]
    terms = [ordered_terms({"n": repr(float(number))})[0] for number in numbers]
    assert all(one < other for one, other in itertools.pairwise(terms))
    assert ordered_terms({"n": "-0"}) == ordered_terms({"n": "0"})
    assert ordered_terms({"n": "red"}) == []
    assert len(ordered_terms({"n": "1880"})) == 2  # a number, and a year


def test_phrases_exclusions_and_titles_mean_what_they_do_in_a_folder(
    cluster: ClusterIndex, settings: ElasticsearchSettings, elasticsearch_name: str, tmp_path: Path
) -> None:
    build_in_cluster(
        f"es://{elasticsearch_name}", WORDINGS, HashEncoder(), settings=settings, overwrite=True
    )
    opened = ClusterIndex.open(f"es://{elasticsearch_name}", HashEncoder(), settings)
    build_index(tmp_path / "ix", WORDINGS, HashEncoder())
    folder = IndexFolder.open(tmp_path / "ix", HashEncoder())
    for query in (
        'harbour "great fire"',
        "harbour -docks",
        'sea -"great fire"',
        "title:fire",
        '"東京大学" x',
    ):
        found = []
        for collection in (opened, folder):
            retriever = Retriever(collection, SearchSettings(mode="dense"))
            parsed = retriever.parsed(query)
            assert parsed.syntax
            ranking = retriever.rank([parsed.text], 20, None, parsed.where)[0]
            found.append(sorted(id_ for id_, _ in ranking))
        assert found[0] == found[1], query
        assert 0 < len(found[0]) < len(WORDINGS)
    opened.close()
