"""The search over a real index: documents with their best passage, paging, shares, languages, ties."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from index_world import folder_of

from configs.errors import ConfigError, IndexFolderError
from configs.settings import FusionSettings, PassageSettings, SearchSettings
from indexer.build import add_documents, build_index, delete_documents
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document, Mode, Where
from retriever.retriever import Retriever

LONG = (
    "The village lies in a green valley and has four hundred inhabitants. "
    "Its church was built of red sandstone. "
    * 6
    + "The lighthouse keeper counts whales from the gallery every summer. "
    + "Bread is baked on Fridays in the common oven. " * 6
)
DOCUMENTS = [
    Document("long", LONG, "A village", "", "en", {"kind": "place"}),
    Document("whale", "Whales are counted at sea by ships.", "Whales", "", "en", {"kind": "animal"}),
    Document("cs-1", "Nemocnice v Praze je otevřena celý den.", "Nemocnice", "", "cs"),
    Document("bn-1", "প্রাগের হাসপাতাল সারা দিন খোলা থাকে", "হাসপাতাল", "", "bn"),
    Document("twin-b", "an identical twin sentence", "", "", "en"),
    Document("twin-a", "an identical twin sentence", "", "", "en"),
    *(
        Document(f"n-{i:03}", f"walnut tree number {i} of the orchard, {'old ' * (i % 7)}", "", "", "en")
        for i in range(150)
    ),
]  # fmt: skip
MODES: list[Mode] = ["hybrid", "dense", "lexical"]
METHODS = ["learned", "interleave", "convex", "rrf", "minmax", "zscore", "combmnz"]


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retriever]:
    path = tmp_path_factory.mktemp("retriever") / "index"
    settings = PassageSettings(size=200, overlap=50)
    build_index(path, DOCUMENTS, HashEncoder(), model="hash", passages=settings)
    opened = Retriever.open(path)
    yield opened
    opened.collection.close()


def ids(hits: list) -> list[str]:  # type: ignore[type-arg]
    return [hit.document.id for hit in hits]


def with_method(retriever: Retriever, method: str) -> Retriever:
    fusion = FusionSettings(method=method)  # type: ignore[arg-type]
    return retriever.with_settings(SearchSettings(fusion=fusion))


def test_a_hit_is_a_document_with_its_best_passage(retriever: Retriever) -> None:
    for mode in MODES:
        hits = retriever.search("lighthouse keeper whales gallery", 10, mode)
        assert ids(hits).count("long") == 1
        assert hits[0].document.id == "long"
        assert "lighthouse keeper counts whales" in hits[0].passage.text
        assert hits[0].document.text == LONG
        passage = hits[0].passage
        assert passage.text == LONG[passage.start : passage.end]
        assert passage.number > 0


def test_ranks_count_from_1_and_scores_fall(retriever: Retriever) -> None:
    hits = retriever.search("walnut tree", 30)
    assert [hit.rank for hit in hits] == list(range(1, 31))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert len(set(ids(hits))) == 30


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS)
def test_the_shares_of_the_parts_sum_to_the_score(
    retriever: Retriever, mode: Mode, method: str
) -> None:
    for hit in with_method(retriever, method).search("walnut whales nemocnice", 20, mode):
        assert sum(part.share for part in hit.parts.values()) == pytest.approx(hit.score)
        both = {"dense", "lexical"} | (
            {"alignment"} if retriever.collection.facts.aligned else set()
        )
        expected = {"hybrid": both, "dense": {"dense"}, "lexical": {"lexical"}}
        assert set(hit.parts) == expected[mode]


def test_a_part_has_the_score_and_rank_of_its_own_side(retriever: Retriever) -> None:
    hits = retriever.search("nemocnice v Praze", 5)
    folder = folder_of(retriever)
    passage = folder.passages(["cs-1"])["cs-1"][:1]
    query = folder.queries(["nemocnice v Praze"])[0]
    part = next(hit for hit in hits if hit.document.id == "cs-1").parts
    assert part["dense"].score == folder.dense.score(query, passage)[0]
    assert part["lexical"].score == folder.lexical.score(query, passage)[0]
    assert part["lexical"].rank == 1


def test_a_hit_of_one_side_has_the_other_sides_exact_score(retriever: Retriever) -> None:
    hits = retriever.search("lighthouse", 10)
    only_dense = [hit for hit in hits if hit.parts["lexical"].rank is None]
    assert only_dense
    assert all(hit.parts["lexical"].score == 0 for hit in only_dense)
    assert all(hit.parts["dense"].rank is not None for hit in only_dense)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("offset", [1, 5, 20, 60])
def test_pages_agree_with_one_long_search(retriever: Retriever, mode: Mode, offset: int) -> None:
    for query in ("walnut tree old", "whales counted every summer"):
        long = retriever.search(query, offset + 10, mode)
        page = retriever.search(query, 10, mode, offset=offset)
        assert page == long[offset:]


def test_a_page_beyond_the_end_is_empty(retriever: Retriever) -> None:
    assert retriever.search("walnut", 10, offset=10_000) == []


def test_k_beyond_the_collection_gives_every_document_once(retriever: Retriever) -> None:
    hits = retriever.search("walnut", 10**9, "dense")
    assert len(hits) == len(set(ids(hits))) <= len(DOCUMENTS)
    assert len(hits) >= 150


@pytest.mark.parametrize("mode", MODES)
def test_score_is_what_search_gave(retriever: Retriever, mode: Mode) -> None:
    for query in ("walnut tree old", "lighthouse keeper", "hospital হাসপাতাল"):
        hits = retriever.search(query, 40, mode)
        scores = retriever.score(query, ids(hits), mode)
        assert scores.tolist() == pytest.approx([hit.score for hit in hits], abs=1e-9)


def test_a_document_that_no_search_would_reach_has_a_score(retriever: Retriever) -> None:
    scores = retriever.score("lighthouse", ["bn-1", "long", "long"], "lexical")
    assert scores[0] == 0
    assert scores[1] == scores[2] > 0
    assert retriever.score("lighthouse", []).tolist() == []
    with pytest.raises(ConfigError, match="not in the index: 'nowhere'"):
        retriever.score("lighthouse", ["long", "nowhere"])


@pytest.mark.parametrize("method", METHODS)
def test_every_fusion_ranks_and_scores(retriever: Retriever, method: str) -> None:
    other = with_method(retriever, method)
    assert ids(other.search("lighthouse keeper whales gallery", 3))[0] == "long"
    scores = other.score("lighthouse keeper whales", ["long", "whale", "bn-1"])
    assert np.isfinite(scores).all()
    assert scores[0] > scores[2]


def test_rank_is_search_by_ids(retriever: Retriever) -> None:
    queries = ["walnut tree old", "nemocnice"]
    rankings = retriever.rank(queries, depth=20)
    for query, ranking in zip(queries, rankings, strict=True):
        hits = retriever.search(query, 20)
        assert ranking == [(hit.document.id, hit.score) for hit in hits]


def test_many_queries_are_answered_as_each_would_be(retriever: Retriever) -> None:
    queries = ["walnut tree", "nemocnice v Praze", "lighthouse"]
    together = retriever.search_many(queries, 5)
    assert together == [retriever.search(query, 5) for query in queries]
    assert retriever.search_many([]) == []


def test_equal_documents_stand_in_the_order_of_their_ids(retriever: Retriever) -> None:
    for mode in MODES:
        hits = retriever.search("an identical twin sentence", 2, mode)
        assert ids(hits) == ["twin-a", "twin-b"]
        assert ids(retriever.search("an identical twin sentence", 1, mode)) == ["twin-a"]


def test_only_documents_that_the_filter_lets_through_are_found(retriever: Retriever) -> None:
    query = "whales hospital nemocnice হাসপাতাল"
    assert ids(retriever.search(query, where=Where(frozenset(["cs"])))) == ["cs-1"]
    assert set(ids(retriever.search(query, where=Where(frozenset(["cs", "bn"]))))) == {
        "cs-1",
        "bn-1",
    }
    assert ids(retriever.search(query, where=Where(frozenset(), {"kind": "animal"}))) == ["whale"]
    assert retriever.search(query, where=Where(frozenset(["cs"]), {"kind": "animal"})) == []
    assert retriever.search(query, where=Where(frozenset(["ja"]))) == []  # known, none here


def test_a_small_pool_still_gives_as_many_documents_as_are_wanted(retriever: Retriever) -> None:
    small = retriever.with_settings(SearchSettings(pool=1))
    assert len(small.search("walnut tree", 25)) == 25


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("", "has no word to search for"),
        ("?!… 🎉", "has no word to search for"),
        ("x" * 10_001, "10,001 characters; the limit is 10,000 (search.max_query)"),
        ("half \ud800", "not UTF-8"),
    ],
)
def test_a_query_that_cannot_be_searched_is_refused(
    retriever: Retriever, query: str, problem: str
) -> None:
    for attempt in (retriever.search, retriever.check):
        with pytest.raises(ConfigError) as caught:
            attempt(query)
        assert problem in str(caught.value)
        assert len(str(caught.value)) < 300
    with pytest.raises(ConfigError):
        retriever.search_many(["fine", query])


def test_wrong_arguments_are_refused(retriever: Retriever) -> None:
    with pytest.raises(ConfigError, match="k must be at least 1, not 0"):
        retriever.search("walnut", 0)
    with pytest.raises(ConfigError, match="offset must be at least 0, not -1"):
        retriever.search("walnut", offset=-1)
    with pytest.raises(ConfigError, match="one of hybrid, dense, lexical"):
        retriever.search("walnut", mode="best")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="did you mean cs"):
        retriever.search("walnut", where=Where(frozenset(["czech"])))


def test_stop_words_alone_are_searched_like_any_words(retriever: Retriever) -> None:
    assert retriever.search("the of and", 3)


def test_words_of_the_query_that_are_nowhere_lower_the_lexical_share(retriever: Retriever) -> None:
    alone = retriever.search("lighthouse", 1)[0].parts["lexical"].share
    among_strangers = retriever.search("lighthouse zyxgard qwertel plimsk", 1)[0].parts["lexical"]
    assert among_strangers.share < alone / 2


class Meaning(HashEncoder):
    """An encoder that knows one thing: hospitals are hospitals in every language."""

    def encode(self, texts, kind="passage"):  # type: ignore[no-untyped-def]
        words = {"hospital", "nemocnice", "হাসপাতাল"}
        known = ["hospital" if words & set(t.casefold().split()) else t for t in texts]
        return super().encode(known, kind)


def test_a_cross_language_answer_does_not_lose_its_place_to_same_language_noise(
    tmp_path: Path,
) -> None:
    documents = [
        Document("answer", "প্রাগের হাসপাতাল সারা দিন খোলা", "", "", "bn"),
        *(
            Document(f"noise-{i}", f"the {word} is where the road to the town ends", "", "", "en")
            for i, word in enumerate(["castle", "bakery", "garden", "market", "bridge"])
        ),
        *(Document(f"cs-{i}", f"tichá zahrada číslo {i}", "", "", "cs") for i in range(5)),
    ]
    build_index(tmp_path / "index", documents, Meaning(), model="hash")
    retriever = Retriever.open(tmp_path / "index", Meaning())
    query = "where is the hospital"
    assert ids(retriever.search(query, 1, "lexical"))[0].startswith("noise")
    assert ids(retriever.search(query, 1, "dense")) == ["answer"]
    assert ids(retriever.search(query, 3))[0] == "answer"
    retriever.collection.close()


class Blind(HashEncoder):
    """An encoder that reads nothing from a query."""

    def encode(self, texts, kind="passage"):  # type: ignore[no-untyped-def]
        return super().encode(["nothing"] * len(texts) if kind == "query" else texts, kind)


def test_a_document_is_found_by_its_words_where_meaning_knows_nothing_of_them(
    tmp_path: Path,
) -> None:
    documents = [
        *(Document(f"en-{i}", f"a note of nothing number {i}", "", "", "en") for i in range(30)),
        *(Document(f"cs-{i}", f"poznámka číslo {i}", "", "", "cs") for i in range(30)),
        Document("de-1", "Drehmoment XK4711 prüfen", "", "", "de"),
    ]
    build_index(tmp_path / "index", documents, Blind(), model="hash")
    retriever = Retriever.open(tmp_path / "index", Blind())
    assert ids(retriever.search("xk4711 drehmoment", 1)) == ["de-1"]
    assert retriever.search("xk4711 drehmoment", 1, "dense")[0].document.id != "de-1"
    retriever.collection.close()


@pytest.mark.parametrize("pool", [1, 10, 100])
def test_a_score_does_not_depend_on_how_many_hits_are_asked_for(
    retriever: Retriever, pool: int
) -> None:
    other = retriever.with_settings(SearchSettings(pool=pool))
    for query in ("walnut tree old", "lighthouse nemocnice"):
        long = {hit.document.id: hit.score for hit in other.search(query, 80)}
        for hit in other.search(query, 3):
            assert hit.score == pytest.approx(long[hit.document.id], abs=1e-12)


def test_a_reader_moves_to_the_newest_commit_when_told(tmp_path: Path) -> None:
    build_index(tmp_path / "index", DOCUMENTS[:4], HashEncoder(), model="hash")
    retriever = Retriever.open(tmp_path / "index")
    assert not retriever.refresh()
    add_documents(tmp_path / "index", [Document("new", "a zeppelin above the sea", "", "", "en")])
    assert "new" not in ids(retriever.search("zeppelin", 5))
    assert retriever.refresh()
    assert ids(retriever.search("zeppelin", 1)) == ["new"]
    delete_documents(tmp_path / "index", ["new"])
    assert retriever.refresh()
    assert "new" not in ids(retriever.search("zeppelin", 5))


def test_an_index_of_another_encoder_is_refused(tmp_path: Path) -> None:
    build_index(tmp_path / "index", DOCUMENTS[:4], HashEncoder(), model="hash")
    with pytest.raises(IndexFolderError) as caught:
        Retriever.open(tmp_path / "index", HashEncoder(64))
    message = str(caught.value)
    assert "written with the encoder hash:256" in message
    assert "not with hash:64" in message
    assert "tandem index build --from" in message


def test_settings_can_be_changed_over_the_same_open_index(retriever: Retriever) -> None:
    dense = retriever.with_settings(dataclasses.replace(retriever.settings, mode="dense", k=3))
    assert dense.collection is retriever.collection
    hits = dense.search("walnut")
    assert len(hits) == 3
    assert set(hits[0].parts) == {"dense"}


def test_refresh_moves_to_an_index_that_was_built_again_with_another_encoder(
    tmp_path: Path,
) -> None:
    documents = [Document("a", "a tiger in the forest"), Document("b", "a boat on the river")]
    build_index(tmp_path / "i", documents, HashEncoder(16))
    retriever = Retriever.open(tmp_path / "i")
    build_index(tmp_path / "i", documents, HashEncoder(32), overwrite=True)
    assert retriever.refresh()
    assert retriever.collection.encoder.dim == 32
    assert retriever.search("tiger", k=1)[0].document.id == "a"


def test_documents_like_one_are_found_by_meaning(retriever: Retriever) -> None:
    assert ids(retriever.similar("twin-a", k=1)) == ["twin-b"]
    found = retriever.similar("long", k=5)
    assert [hit.rank for hit in found] == [1, 2, 3, 4, 5]
    assert len(set(ids(found))) == 5 and "long" not in ids(found)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert ids(retriever.similar("long", where=Where(frozenset({"bn"})))) == ["bn-1"]
    assert len(retriever.similar("n-000", k=155)) == 155  # all others
    with pytest.raises(ConfigError, match="not in the index: 'none'"):
        retriever.similar("none")
    with pytest.raises(ConfigError, match="k must be at least 1"):
        retriever.similar("long", k=0)


def test_a_query_that_is_being_typed_is_completed(retriever: Retriever) -> None:
    assert retriever.suggest("nem") == ["Nemocnice", "Nemocnice v Praze"][:1]
    assert retriever.suggest("Wha")[0] == "Whales"
    assert "identical twin sentence" in retriever.suggest("identical tw")  # two documents hold it
    assert "walnut tree number" in retriever.suggest("walnut tr")
    assert retriever.suggest("lightho") == ["lighthouse"]  # in one document: the word alone
    for text in ("", "n", "!?", "zzzz", "walnut tree xy", "x" * 5000):
        assert retriever.suggest(text) == []
    assert len(retriever.suggest("wal", most=1)) == 1
