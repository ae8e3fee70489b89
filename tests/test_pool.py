"""Both sides of a search at once: the same hits, whoever is ready first, and no error is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from configs.errors import IndexFolderError
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document, Hit
from indexer.search import pool
from retriever.retriever import Retriever

QUERIES = ["river castle", "bread in prague", "zzz", "castle 7"]


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    path = tmp_path_factory.mktemp("pool") / "i"
    places = ["prague", "vienna", "lima"]
    words = ["river", "castle", "bread", "violin", "engine"]
    documents = [
        Document(f"d{n:03}", f"{words[n % 5]} {words[n % 4]} near {places[n % 3]} {n}")
        for n in range(300)
    ]
    build_index(path, documents, HashEncoder(32))
    return Retriever.open(path, HashEncoder(32))


def seen(hits: list[Hit]) -> list[tuple[Any, ...]]:
    return [(hit.document.id, hit.score, dict(hit.parts)) for hit in hits]


def slow(call: Callable[..., Any]) -> Callable[..., Any]:
    def later(*arguments: Any) -> Any:
        time.sleep(0.02)
        return call(*arguments)

    return later


@pytest.mark.parametrize("slower", ["dense", "lexical", "neither"])
def test_one_core_and_two_find_the_same_whichever_side_is_slower(
    slower: str, retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "cores", lambda: 1)
    alone = [seen(retriever.search(query)) for query in QUERIES]
    monkeypatch.setattr(pool, "cores", lambda: 2)
    if slower != "neither":
        side = getattr(retriever.collection, slower)
        monkeypatch.setattr(side, "search", slow(side.search))
    assert [seen(retriever.search(query)) for query in QUERIES] == alone


def test_many_clients_at_once_find_what_one_finds(retriever: Retriever) -> None:
    alone = {query: seen(retriever.search(query)) for query in QUERIES}
    with ThreadPoolExecutor(8) as clients:
        for query, hits in zip(
            QUERIES * 20, clients.map(retriever.search, QUERIES * 20), strict=True
        ):
            assert seen(hits) == alone[query]


@pytest.mark.parametrize("side", ["dense", "lexical"])
def test_an_error_of_either_side_is_the_error_of_the_search(
    side: str, retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> Any:
        raise IndexFolderError("a damaged file")

    monkeypatch.setattr(pool, "cores", lambda: 2)
    monkeypatch.setattr(getattr(retriever.collection, side), "search", broken)
    with pytest.raises(IndexFolderError, match="a damaged file"):
        retriever.search("river castle")
    monkeypatch.undo()
    assert retriever.search("river castle")
