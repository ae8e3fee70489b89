"""A word that the index does not hold, one or two edits from one that it does, is searched as that one; and said so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command, runner

from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.folder import IndexFolder
from indexer.schema import Document
from indexer.search.corrections import corrected
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


class Held:
    """A vocabulary of words as written, each with the passages that hold it."""

    def __init__(self, **words: int) -> None:
        self.words = words

    def frequency(self, stream: str, term: str) -> int:
        return self.words.get(term, 0) if stream == "words" else 0

    def beginning(self, prefix: str) -> list[tuple[str, int]]:
        found = [pair for pair in self.words.items() if pair[0].startswith(prefix)]
        return sorted(found, key=lambda pair: -pair[1])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("buterfly", "butterfly"),  # a letter left out
        ("buttrefly", "butterfly"),  # two swapped, which is one edit
        ("bvtterfly", "butterfly"),  # the second letter is wrong
        ("butterflies", "butterflies"),  # held as it is
        ("bxtterflxyz", "bxtterflxyz"),  # three edits away
        ("marcen", "marchen"),  # one edit from two words: the one that more passages hold
        ("mxrcen", "mxrcen"),  # two edits, and too short for two
    ],
)
def test_the_nearest_word_that_is_held(typed: str, meant: str) -> None:
    held = Held(butterfly=3, butterflies=1, buttercup=9, marcel=2, marchen=5)
    assert corrected(typed, ["xx"], held) == meant


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


@pytest.mark.parametrize(
    ("lang", "typed", "meant"),
    [
        ("de", "Kühlschranktemperatur senken", "kühlschrank temperatur senken"),
        ("de", "Lebensversicherung", "leben versicherung"),  # an s between them
        ("de", "Staubecken", "stau becken"),  # the longer last word, and not Staub, Ecken
        ("de", "Versicherung", "Versicherung"),  # held as it is
        ("nl", "ziekteverzekering", "ziekte verzekering"),
        ("sv", "fjällhotell", "fjäll hotell"),
        ("cs", "lebenversicherung", "lebenversicherung"),  # no language that puts words together so
        ("de", "lebenxversicherung", "lebenxversicherung"),  # nothing stands so between two words
    ],
)
def test_a_compound_that_no_text_has_is_searched_as_its_parts(
    lang: str, typed: str, meant: str
) -> None:
    held = Held(
        kuhlschrank=1, temperatur=2, senken=1, leben=3, versicherung=1, stau=1, becken=1, staub=1,
        ecken=1, ziekte=1, verzekering=1, fjall=1, hotell=2,
    )  # fmt: skip
    assert corrected(typed, [lang], held) == meant


def test_the_parts_of_a_compound_find_the_document(tmp_path: Path) -> None:
    texts = ["Die Temperatur im Kühlschrank.", "Ein Haus am See.", "Temperatur der Sonne."]
    documents = [Document(f"d{n}", text, lang="de") for n, text in enumerate(texts)]
    build_index(tmp_path / "i", documents, HashEncoder(64))
    index = open_index(tmp_path / "i", encoder=HashEncoder(64))
    hits = index.search("Kühlschranktemperatur", mode="lexical")
    assert [hit.document.id for hit in hits] == ["d0", "d2"]
    assert hits.searched == "kühlschrank temperatur"
    assert not index.search("Kühlschranktemperatur", mode="lexical", literal=True)
