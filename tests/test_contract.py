"""One contract, every Index backend: FAISS Flat, HNSW and IVF-SQ8, tantivy, rank_bm25, Elasticsearch."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from elasticsearch_server import VERSIONS, Server, forget

from configs.errors import ConfigError
from configs.settings import DenseSettings, ElasticsearchSettings, LexicalSettings
from indexer.build import build_index, delete_documents
from indexer.cluster import ClusterIndex
from indexer.cluster_build import build_in_cluster, delete_from_cluster
from indexer.encoders.hash_encoder import HashEncoder
from indexer.folder import IndexFolder
from indexer.schema import Candidates, Document, Index, Where
from indexer.search.dense import _near as nearest_lists
from indexer.verify import verify

TOPICS = ["hospital", "castle", "river", "bread", "engine", "violin", "glacier", "harvest"]
PLACES = ["prague", "vienna", "dhaka", "kyoto", "lima"]


def documents() -> list[Document]:
    """120 short English and Czech documents; a topic, a place, a number; 12 more that are all alike."""
    found = []
    for i in range(120):
        topic, place = TOPICS[i % 8], PLACES[i % 5]
        lang = "cs" if i % 3 == 0 else "en"
        text = f"{topic} {topic} near {place} number{i:03}" + (" walnut" if i % 7 == 0 else "")
        found.append(Document(f"doc-{i:03}", text, "", "", lang, {"place": place}))
    found += [Document(f"same-{i:02}", "identical twin text", "", "", "en") for i in range(12)]
    return found


Opened = IndexFolder | ClusterIndex

BACKENDS = {
    "Flat": ("dense", DenseSettings(factory="Flat"), LexicalSettings()),
    "HNSW32": ("dense", DenseSettings(factory="HNSW32"), LexicalSettings()),
    "IVF4,SQ8": ("dense", DenseSettings(factory="IVF4,SQ8", probes=4), LexicalSettings()),
    "tantivy": ("lexical", DenseSettings(factory="Flat"), LexicalSettings("tantivy")),
    "rank_bm25": ("lexical", DenseSettings(factory="Flat"), LexicalSettings("rank_bm25")),
}
DELETED = ["doc-001", "doc-009", "same-03"]

CLUSTERS = {
    f"{signal} in Elasticsearch {version}": (signal, version)
    for version in VERSIONS
    for signal in ("dense", "lexical")
}


def built(path: Path, backend: str) -> IndexFolder:
    _, dense, lexical = BACKENDS[backend]
    build_index(path, documents(), HashEncoder(), model="hash", dense=dense, lexical=lexical)
    return IndexFolder.open(path)


class World:
    """Builds, opens and changes indexes of one backend."""

    def __init__(self, backend: str, server: Server) -> None:
        self.backend = backend
        self._url = server(CLUSTERS[backend][1]) if backend in CLUSTERS else ""
        self._settings = ElasticsearchSettings(hosts=(self._url,), replicas=0)
        self._names: list[str] = []

    def build(self, path: Path) -> Opened:
        if not self._url:
            return built(path, self.backend)
        name = f"tandem-test-{secrets.token_hex(6)}"
        self._names.append(name)
        build_in_cluster(
            f"es://{name}", documents(), HashEncoder(), settings=self._settings, model="hash"
        )
        return ClusterIndex.open(f"es://{name}", None, self._settings)

    def delete(self, opened: Opened, ids: list[str]) -> Opened:
        """The index after these documents were deleted, opened again."""
        opened.close()
        if isinstance(opened, IndexFolder):
            delete_documents(opened.path, ids)
            return IndexFolder.open(opened.path)
        delete_from_cluster(opened.address, ids, self._settings)
        return ClusterIndex.open(opened.address, None, self._settings)

    def side(self, opened: Opened) -> Index:
        signal = {**BACKENDS, **CLUSTERS}[self.backend][0]
        return opened.dense if signal == "dense" else opened.lexical

    def forget(self) -> None:
        for name in self._names:
            forget(self._url, name)


@pytest.fixture(scope="module", params=[*BACKENDS, *CLUSTERS])
def world(request: pytest.FixtureRequest, elasticsearch_server: Server) -> Iterator[World]:
    found = World(str(request.param), elasticsearch_server)
    yield found
    found.forget()


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    opened = world.build(tmp_path_factory.mktemp("contract") / "index")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def index(folder: Opened, world: World) -> Index:
    return world.side(folder)


QUERIES = ["hospital near prague", "walnut", "number017", "identical twin", "bread engine kyoto"]


def pairs(candidates: Candidates) -> list[tuple[object, float]]:
    """(key, score) of each candidate."""
    keys, scores = candidates
    assert len(keys) == len(scores)
    return list(zip(keys.tolist(), scores.tolist(), strict=True))


def search(
    folder: Opened, index: Index, text: str, k: int, where: Where | None = None
) -> Candidates:
    return index.search(folder.queries([text])[0], k, where)


def ids_of(folder: Opened, found: Candidates) -> list[str]:
    """The document id of each candidate."""
    return folder.ids(folder.documents_of(found.keys))


def test_candidates_are_best_first_with_unique_keys(index: Index, folder: Opened) -> None:
    for found in index.search_many(folder.queries(QUERIES), 50):
        assert len(found.keys)
        assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
        assert len(set(found.keys.tolist())) == len(found.keys)


def test_what_is_asked_for_is_found_first(index: Index, folder: Opened) -> None:
    assert ids_of(folder, search(folder, index, "number017", 5))[0] == "doc-017"


def test_equal_scores_stand_in_the_order_of_keys(index: Index, folder: Opened) -> None:
    found = search(folder, index, "identical twin text", 12)
    assert len(set(found.scores.tolist())) == 1
    assert found.keys.tolist() == sorted(found.keys.tolist())
    assert sorted(ids_of(folder, found)) == [f"same-{i:02}" for i in range(12)]


def test_a_shorter_search_is_the_beginning_of_a_longer_one(
    index: Index, folder: Opened, world: World
) -> None:
    for query in folder.queries(QUERIES):
        longest = index.search(query, 40)
        for k in (1, 3, 7, 11, 20):
            shorter = index.search(query, k)
            assert shorter.scores.tolist() == longest.scores[:k].tolist()
            graph = world.backend.startswith("dense in")
            if not graph and world.backend not in (
                "HNSW32",
                "IVF4,SQ8",
            ):  # which of equal passages they find is theirs
                assert shorter.keys.tolist() == longest.keys[:k].tolist(), (query.text, k)


def test_many_queries_are_answered_as_each_would_be(index: Index, folder: Opened) -> None:
    together = index.search_many(folder.queries(QUERIES), 10)
    alone = [search(folder, index, text, 10) for text in QUERIES]
    assert list(map(pairs, together)) == list(map(pairs, alone))
    assert index.search_many([], 10) == []


def test_one_search_twice_is_one_result(index: Index, folder: Opened) -> None:
    for query in folder.queries(QUERIES):
        assert pairs(index.search(query, 30)) == pairs(index.search(query, 30))


def test_k_beyond_the_collection_gives_all_there_is(index: Index, folder: Opened) -> None:
    assert 15 <= len(search(folder, index, "hospital", 10**9).keys) <= len(folder)


def test_score_is_what_search_gave(index: Index, folder: Opened) -> None:
    for query in folder.queries(QUERIES):
        keys, given = index.search(query, 40)
        scores = index.score(query, keys)
        assert scores.dtype == np.float64
        assert scores.tolist() == given.tolist()
        assert index.score(query, keys[::-1]).tolist() == given.tolist()[::-1]
        assert index.score(query, keys[:0]).tolist() == []


def test_a_score_asked_for_alone_is_the_same(index: Index, folder: Opened) -> None:
    query = folder.queries(["bread near lima"])[0]
    found = index.search(query, 10)
    for place, score in enumerate(found.scores.tolist()):
        assert index.score(query, found.keys[place : place + 1]).tolist() == [score]


def test_bounds_are_not_exceeded_and_do_not_depend_on_the_hits(
    index: Index, folder: Opened
) -> None:
    for query in folder.queries([*QUERIES, "number000 number001", "walnut walnut walnut"]):
        low, high = index.bounds(query)
        assert low < high
        assert (index.search(query, 200).scores <= high).all()
        assert index.bounds(query) == (low, high)


def test_only_documents_of_the_languages_asked_for_are_found(index: Index, folder: Opened) -> None:
    query = folder.queries(["hospital near prague"])[0]
    found = index.search(query, 200, Where(frozenset(["cs"])))
    assert len(found.keys)
    assert set(folder.languages_of(found.keys).tolist()) == {"cs"}
    both = index.search(query, 200, Where(frozenset(["cs", "en"])))
    assert pairs(both) == pairs(index.search(query, 200))
    assert pairs(index.search(query, 10, Where(frozenset(["bn"])))) == []


def test_a_filter_changes_no_score_and_no_order(index: Index, folder: Opened) -> None:
    query = folder.queries(["hospital near prague"])[0]
    everything = index.search(query, 200)
    czech = folder.languages_of(everything.keys) == "cs"
    found = index.search(query, 200, Where(frozenset(["cs"])))
    assert pairs(found) == pairs(Candidates(everything.keys[czech], everything.scores[czech]))


def test_only_documents_with_the_field_values_asked_for_are_found(
    index: Index, folder: Opened
) -> None:
    query = folder.queries(["hospital"])[0]
    found = index.search(query, 200, Where(frozenset(), {"place": "lima"}))
    assert len(found.keys)
    assert {document.fields["place"] for document, _ in folder.fetch(found.keys)} == {"lima"}
    both = index.search(query, 200, Where(frozenset(["cs"]), {"place": "lima"}))
    assert {document.lang for document, _ in folder.fetch(both.keys)} <= {"cs"}
    assert pairs(index.search(query, 9, Where(frozenset(), {"place": "nowhere"}))) == []
    assert pairs(index.search(query, 9, Where(frozenset(), {"colour": "red"}))) == []


def test_a_query_without_words_finds_nothing(index: Index, folder: Opened) -> None:
    assert [pairs(found) for found in index.search_many(folder.queries(["", "  "]), 5)] == [[], []]


def test_deleted_documents_are_never_found(world: World, tmp_path: Path) -> None:
    folder = world.delete(world.build(tmp_path / "index"), DELETED)
    index = world.side(folder)
    texts = ["castle castle near vienna", "identical twin text", "number001", "number009"]
    for query in folder.queries(texts):
        for where in (None, Where(frozenset(["en", "cs"]))):
            assert not set(ids_of(folder, index.search(query, 500, where))) & set(DELETED)
    twins = search(folder, index, "identical twin text", 11)
    assert len(ids_of(folder, twins)) == 11
    folder.close()


def test_an_index_of_which_everything_was_deleted_finds_nothing(
    world: World, tmp_path: Path
) -> None:
    everything = [document.id for document in documents()]
    folder = world.delete(world.build(tmp_path / "index"), everything)
    index = world.side(folder)
    queries = folder.queries(["hospital", "twin"])
    for where in (None, Where(frozenset(["en"]))):
        assert [pairs(found) for found in index.search_many(queries, 5, where)] == [[], []]
    low, high = index.bounds(queries[0])
    assert low <= high
    assert len(folder) == 0
    folder.close()


def test_neighbours_refuse_to_give_none(tmp_path: Path) -> None:
    folder = built(tmp_path / "index", "Flat")
    with pytest.raises(ConfigError, match="k must be at least 1"):
        folder.dense.neighbours(HashEncoder().encode(["hospital"]), 0)


def test_tantivy_and_rank_bm25_agree_on_short_passages(tmp_path: Path) -> None:
    lucene = built(tmp_path / "tantivy", "tantivy")
    reference = built(tmp_path / "reference", "rank_bm25")
    for query in lucene.queries(QUERIES):
        theirs = reference.lexical.search(query, 200)
        ours = lucene.lexical.search(query, 200)
        assert ours.keys.tolist() == theirs.keys.tolist(), query.text
        assert np.allclose(ours.scores, theirs.scores, rtol=2e-3), query.text
        assert lucene.lexical.bounds(query) == pytest.approx(reference.lexical.bounds(query))
    lucene.close()
    reference.close()


@pytest.mark.parametrize("factory", ["IVF4,PQ2x8", "IVF4,PQ8x4fs", "IVF4,PQ8x4fsr", "PQ8x4"])
def test_an_index_of_product_codes_opens_again_and_finds_a_passage_by_its_words(
    factory: str, tmp_path: Path
) -> None:
    documents = [Document(f"d{n:03}", f"word{n} tale{n % 7} river{n % 11}") for n in range(400)]
    dense = DenseSettings(factory=factory, probes=4)
    build_index(tmp_path / "i", documents, HashEncoder(16), dense=dense)
    folder = IndexFolder.open(tmp_path / "i")
    found = search(folder, folder.dense, documents[123].text, 5)
    assert ids_of(folder, found)[0] == "d123"
    assert found.scores[0] == pytest.approx(1.0, abs=1e-5)
    assert verify(tmp_path / "i") == []


def test_a_query_reads_the_lists_near_it_whatever_is_asked_beside_it(tmp_path: Path) -> None:
    documents = [Document(f"d{n:04}", f"word{n} tale{n % 97} river{n % 11}") for n in range(3000)]
    build_index(
        tmp_path / "i",
        documents,
        HashEncoder(32),
        dense=DenseSettings(factory="IVF64,PQ16x4fsr"),
    )
    folder = IndexFolder.open(tmp_path / "i")
    vectors = HashEncoder(32).encode([document.text for document in documents[::50]])
    vectors[7] = 0.0  # a query that says nothing
    _, together = folder.dense.neighbours(vectors, 10)
    alone = np.vstack([folder.dense.neighbours(vector[None], 10)[1] for vector in vectors])
    assert (together == alone).all()
    found = np.delete(together, 7, axis=0)
    assert (found == np.delete(np.arange(0, 3000, 50), 7)[:, None]).any(axis=1).all()


def test_the_lists_read_are_those_within_a_gap_of_the_nearest_but_a_sixteenth_in_any_case() -> None:
    products = np.array([0.1, 0.9, 0.7, 0.59, 0.65, -0.2], np.float32)
    assert nearest_lists(products, 1, 6).tolist() == [1, 2, 4]  # 0.9 - 0.3 = 0.6
    assert sorted(nearest_lists(products, 4, 6).tolist()) == [1, 2, 3, 4]
    assert sorted(nearest_lists(products, 1, 2).tolist()) == [1, 2]
