"""A query is analysed, detected and encoded once, whoever asks; and nobody above a collection reads its keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from configs.settings import FusionSettings, SearchSettings
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.opening import open_encoder
from indexer.encoders.static_encoder import StaticEncoder
from indexer.folder import IndexFolder
from indexer.schema import (
    Bounds,
    Collection,
    CollectionFacts,
    Document,
    Encoder,
    Hit,
    Keys,
    Kind,
    Matrix,
    Mode,
    Passage,
    Pool,
    Query,
    SignalName,
    Where,
)
from indexer.search.query import prepared
from indexer.text import analysis, languages
from retriever.retriever import Retriever

WORDS = ["river", "castle", "bread", "violin", "engine", "harvest", "glacier"]
DOCUMENTS = [
    Document(
        f"d{n:03}",
        f"{WORDS[n % 7]} {WORDS[n % 5]} number{n}. Then {WORDS[n % 3]} again, and more of it.",
        f"Title {n % 4}",
        lang="en" if n % 2 else "cs",
    )
    for n in range(90)
]


class Counting(HashEncoder):
    """A HashEncoder that remembers what it encoded."""

    def __init__(self) -> None:
        super().__init__(32)
        self.calls: list[list[str]] = []

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        if kind == "query":
            self.calls.append(list(texts))
        return super().encode(texts, kind)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("query") / "i"
    build_index(place, DOCUMENTS, HashEncoder(32))
    return place


def test_a_search_prepares_its_query_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, int] = {}

    def counted(name: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            asked[name] = asked.get(name, 0) + 1
            return function(*arguments)

        return call

    encoder = Counting()
    settings = SearchSettings(fusion=FusionSettings(language_weights={"cs": 0.5}))
    retriever = Retriever(IndexFolder.open(path, encoder), settings)
    terms = counted("terms", analysis.weighted_terms)
    monkeypatch.setattr("indexer.search.query.weighted_terms", terms)
    chances = counted("languages", languages.distribution)
    monkeypatch.setattr("indexer.text.languages.distribution", chances)
    monkeypatch.setattr("indexer.search.pool.cores", lambda: 1)
    assert retriever.search("bread near the river", 5)
    assert asked == {"terms": 1, "languages": 1}
    assert encoder.calls == [["bread near the river"]]
    assert retriever.search("bread near the river", 5, "lexical")
    assert len(encoder.calls) == 1, "lexical search needs no vector"
    assert retriever.search("bread near the river", 5, "dense")
    assert asked["terms"] == 2, "dense search needs no terms"


def test_queries_that_come_together_are_encoded_in_one_call(path: Path) -> None:
    encoder = Counting()
    retriever = Retriever(IndexFolder.open(path, encoder))
    retriever.rank(["bread", "river", "bread"], 5)
    assert encoder.calls == [["bread", "river"]]


def test_each_part_of_a_query_by_hand() -> None:
    (query,) = prepared(["Nemocnice v Praze"], HashEncoder(32), ["cs", "en"], word_weight=0.5)
    assert query.text == "Nemocnice v Praze"
    assert query.likely == ("cs",)
    assert max(query.languages, key=lambda code: query.languages[code]) == "cs"
    words = {term.text: term.weight for term in query.terms if term.stream == "words"}
    assert words == {"nemocnice": 0.5, "v": 0.5, "praze": 0.5}
    stems = {term.text: term.weight for term in query.terms if term.stream == "stems"}
    assert stems == {"nemocnik": 1.0, "v": 1.0, "praz": 0.5, "prah": 0.5}, "of Praze and of Praha"
    expected = HashEncoder(32).encode(["Nemocnice v Praze"], kind="query")[0]
    assert query.vector.tolist() == expected.tolist()
    assert query.tokens.tolist() == [], "a hash has no tokens"
    assert prepared(["one"], HashEncoder(32), ["de"])[0].likely == ("de",)
    assert prepared([], HashEncoder(32), ["de"]) == []


def test_the_tokens_of_a_query_are_rows_of_the_static_encoders_table() -> None:
    encoder = open_encoder("fast")
    assert isinstance(encoder, StaticEncoder)
    (query,) = prepared(["hospital in Prague"], encoder, ["en"])
    names = {row: token for token, row in encoder.vocabulary().items()}
    assert "".join(names[row] for row in query.tokens.tolist()).replace("▁", " ").split() == [
        "hospital",
        "in",
        "prague",
    ]
    summed = encoder.table()[query.tokens].sum(axis=0)
    assert summed / np.linalg.norm(summed) == pytest.approx(query.vector, abs=1e-5)


class Lettered:
    """A folder whose keys are letters, as those of another backend might be: row 12 is `p00012`."""

    def __init__(self, folder: IndexFolder) -> None:
        self.folder = folder

    @property
    def encoder(self) -> Encoder:
        return self.folder.encoder

    @property
    def facts(self) -> CollectionFacts:
        return self.folder.facts

    def __len__(self) -> int:
        return len(self.folder)

    def about(self) -> Mapping[str, object]:
        return self.folder.about()

    def newest(self) -> Collection | None:
        newest = self.folder.newest()
        return None if newest is None else Lettered(newest)

    def close(self) -> None:
        self.folder.close()

    def queries(self, texts: Sequence[str], literal: bool = False) -> list[Query]:
        return self.folder.queries(texts, literal)

    def check_where(self, where: Where | None) -> None:
        self.folder.check_where(where)

    def pools(
        self,
        queries: Sequence[Query],
        size: int,
        signals: Sequence[SignalName],
        where: Where | None = None,
    ) -> list[Pool]:
        found = self.folder.pools(queries, size, signals, where)
        return [Pool(letters("p", pool.keys), pool.scores, pool.ranks) for pool in found]

    def scored(self, query: Query, keys: Keys, signals: Sequence[SignalName]) -> Pool:
        pool = self.folder.scored(query, numbers(keys), signals)
        return Pool(keys, pool.scores, pool.ranks)

    def bounds(self, query: Query) -> Mapping[SignalName, Bounds]:
        return self.folder.bounds(query)

    def documents_of(self, passages: Keys) -> Keys:
        return letters("d", self.folder.documents_of(numbers(passages)))

    def languages_of(self, passages: Keys) -> NDArray[np.str_]:
        return self.folder.languages_of(numbers(passages))

    def ids(self, documents: Keys) -> list[str]:
        return self.folder.ids(numbers(documents))

    def fetch(self, passages: Keys) -> list[tuple[Document, Passage]]:
        return self.folder.fetch(numbers(passages))

    def documents(self, ids: Sequence[str]) -> dict[str, Document]:
        return self.folder.documents(ids)

    def document_ids(self) -> Iterator[str]:
        return self.folder.document_ids()

    def passages(self, ids: Sequence[str]) -> dict[str, Keys]:
        return {id_: letters("p", rows) for id_, rows in self.folder.passages(ids).items()}


def letters(kind: str, keys: Keys) -> Keys:
    return np.array([f"{kind}{key:05}" for key in keys.tolist()], np.str_)


def numbers(keys: Keys) -> Keys:
    return np.array([int(key[1:]) for key in keys.tolist()], np.int64)


METHODS = ("learned", "interleave", "convex", "rrf", "minmax", "zscore", "combmnz")


@pytest.mark.parametrize("method", METHODS)
def test_keys_of_letters_give_what_row_numbers_give(path: Path, method: Any) -> None:
    settings = SearchSettings(fusion=FusionSettings(method=method))
    folder = IndexFolder.open(path)
    plain, lettered = Retriever(folder, settings), Retriever(Lettered(folder), settings)
    texts = ["bread near the river", "castle number7", "title", "nothing of the kind", "number89"]
    modes: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
    for mode in modes:
        assert lettered.rank(texts, 40, mode) == plain.rank(texts, 40, mode)
        for text in texts:
            ours, theirs = (
                lettered.search(text, 7, mode, offset=3),
                plain.search(text, 7, mode, offset=3),
            )
            assert list(map(seen, ours)) == list(map(seen, theirs))
        ids = [document.id for document in DOCUMENTS[::9]]
        scores = lettered.score("river bread", ids, mode).tolist()
        assert scores == plain.score("river bread", ids, mode).tolist()


def seen(hit: Hit) -> tuple[object, ...]:
    return hit.document, hit.passage, hit.score, hit.rank, dict(hit.parts)


def test_equal_scores_stand_in_the_order_of_ids_across_the_borders_of_pages(tmp_path: Path) -> None:
    twins = [Document(f"t{n:02}", "the very same words", lang="en") for n in (7, 3, 9, 1, 5, 8, 2)]
    build_index(tmp_path / "i", twins, HashEncoder(32))
    retriever = Retriever.open(tmp_path / "i")
    whole = [hit.document.id for hit in retriever.search("same words", 7)]
    assert whole == ["t01", "t02", "t03", "t05", "t07", "t08", "t09"]
    for start in range(7):
        page = retriever.search("same words", 2, offset=start)
        assert [hit.document.id for hit in page] == whole[start : start + 2]
        assert [hit.rank for hit in page] == list(range(start + 1, start + 1 + len(page)))


def test_a_query_that_is_put_right_is_never_seen_uncorrected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two threads prepare one query; its vector is kept by the text that is searched."""
    never: Any = object()
    query = prepared(["hopsital"], HashEncoder(), ["en"], vocabulary=never)[0]

    def correcting(text: str, *rest: object) -> str:
        assert query._searched is None
        return "hospital"

    monkeypatch.setattr("indexer.search.query.corrected", correcting)
    assert query.searched == "hospital"
    assert query.vector.shape == (256,)


def test_a_query_in_a_language_that_the_index_lacks_is_in_none_of_its_languages() -> None:
    encoder = HashEncoder(16)
    hungarian = "Hogyan bírja ki a medve egész télen evés és ivás nélkül?"
    for known in (("en", "cs", "de"), ("en",)):
        query = prepared([hungarian], encoder, known)[0]
        assert query.own == ()
        assert query.likely == ("en",)  # its words are looked for all the same
    czech = prepared(["jak přežije medvěd celou zimu bez jídla"], encoder, ("en", "cs"))[0]
    assert czech.own == czech.likely == ("cs",)
    assert prepared(["1931"], encoder, ("en", "cs"))[0].own == ("en", "cs")
    assert prepared(["nemocnica v Bratislave má voľné lôžka"], encoder, ("en", "cs"))[0].likely == (
        "cs",
    )
