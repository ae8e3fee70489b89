"""A word that the index does not hold, one or two edits from one that it does, is searched as that one; and said so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command, runner
from hypothesis import given
from hypothesis import strategies as st

from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.folder import IndexFolder
from indexer.schema import Document
from indexer.search.corrections import edits
from retriever.retriever import Retriever
from retriever.search_index import open_index

TEXTS = {
    "butterfly": "A butterfly drinks from the thistle beside the path.",
    "hospital": "The hospital opened a new wing for children.",
    "encyclopedia": "She read the encyclopedia from the first volume to the last.",
    "cs": "Nemocnice v Praze otevřela novou zahradu.",
    "de": "Das Krankenhaus liegt am Stadtrand.",
    "zh": "北京的图书馆今天关闭",
}
LANGS = {"cs": "cs", "de": "de", "zh": "zh"}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("corrections") / "i"
    documents = [Document(id_, text, lang=LANGS.get(id_, "en")) for id_, text in TEXTS.items()]
    build_index(place, documents, HashEncoder(64))
    return place


@pytest.fixture
def retriever(path: Path) -> Retriever:
    return Retriever(IndexFolder.open(path, HashEncoder(64)))


@pytest.mark.parametrize(
    ("query", "searched", "found"),
    [
        ("buterfly", "butterfly", "butterfly"),
        ("Buttrefly!", "butterfly!", "butterfly"),
        ("the buterfly path", "the butterfly path", "butterfly"),
        ("hosptal wing", "hospital wing", "hospital"),
        ("encyklopedya", "encyclopedia", "encyclopedia"),
        ("nemocnce", "nemocnice", "cs"),
        ("Krankenhas", "krankenhaus", "de"),
    ],
)
def test_a_mistyped_word_is_searched_as_the_one_that_is_there(
    retriever: Retriever, query: str, searched: str, found: str
) -> None:
    assert retriever.searched(query) == searched
    assert retriever.search(query, 1, "lexical")[0].document.id == found


@pytest.mark.parametrize(
    "query",
    ["butterfly", "BUTTERFLIES", "hospitals", "xyzzy", "path", "pats", "wingz", "zebra crossing", "图书馆", "北京大", "b12345",
     "mutterfly", "hospitable people", "C++", "нemocnice", "Praha", "children's"],
)  # fmt: skip
def test_what_is_held_or_short_or_far_from_everything_stays(
    retriever: Retriever, query: str
) -> None:
    assert retriever.searched(query) == query


def test_the_answer_says_so(path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    index = open_index(path, encoder=HashEncoder(64))
    hits = index.search("buterfly")
    assert (hits.query, hits.searched) == ("buterfly", "butterfly")
    assert hits[:1].searched == "butterfly"
    assert "butterfly" in repr(hits)
    assert index.search("butterfly").searched == "butterfly"
    run: Command = runner(capsys)
    source = tmp_path / "a.txt"
    source.write_text(TEXTS["butterfly"], "utf-8")
    assert run("index", "build", source, "-o", tmp_path / "i").code == 0
    answer = run("search", "buterfly", "-i", tmp_path / "i")
    assert "Showing results for: butterfly" in answer.err
    assert "butterfly" in answer.out
    assert "Showing" not in run("search", "butterfly", "-i", tmp_path / "i").err
    lines = run("search", "buterfly", "-i", tmp_path / "i", "--json").out.splitlines()
    assert json.loads(lines[0])["query"] == "buterfly"


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [("abc", "abc", 0), ("abc", "ab", 1), ("abc", "acb", 1), ("abc", "xbc", 1), ("abc", "cab", 2), ("", "ab", 2), ("abcd", "badc", 2)],
)  # fmt: skip
def test_edits_by_hand(one: str, other: str, count: int) -> None:
    assert edits(one, other, 3) == count


@given(st.text("abc", max_size=7), st.text("abc", max_size=7), st.integers(0, 3))
def test_edits_are_the_same_both_ways_and_end_early(one: str, other: str, most: int) -> None:
    whole = edits(one, other, 99)
    assert whole == edits(other, one, 99)
    assert (edits(one, other, most) <= most) == (whole <= most)
    assert (whole == 0) == (one == other)


def test_a_word_of_the_language_that_no_text_has_is_no_mistake(tmp_path: Path) -> None:
    texts = ["Vynález změnil svět.", "A direct product of two groups.", "Das Original steht hier."]
    documents = [
        Document(f"d{n}", text, lang=lang)
        for n, (text, lang) in enumerate(zip(texts, ("cs", "en", "de"), strict=True))
    ]
    build_index(tmp_path / "i", documents, HashEncoder(64))
    opened = Retriever(IndexFolder.open(tmp_path / "i", HashEncoder(64)))
    for query in ("kdo vynalezl dynamit", "direction", "production", "originell"):
        assert opened.searched(query) == query
    assert opened.searched("vynallez") == "vynalez"
