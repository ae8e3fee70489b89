"""Queries as people type them: what is syntax, what only looks like it, and that every hit fulfils it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import runner

import tandem
from configs.settings import LexicalSettings, SearchSettings
from indexer.build import add_documents, build_index, delete_documents
from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.opening import open_encoder
from indexer.schema import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Contains,
    Document,
    FieldKind,
    Not,
    Where,
)
from indexer.text.wording import contains, words_of
from retriever.query_language import parse_query
from retriever.retriever import Retriever

HERE = Path(__file__).parent
KINDS: dict[str, FieldKind] = {"author": "keyword", "year": "number"}
LANGS = ["cs", "de", "en"]
WITH = [
    line.split("\t") for line in (HERE / "queries_with_syntax.tsv").read_text("utf-8").splitlines()
]
WITHOUT = (HERE / "queries_without_syntax.txt").read_text("utf-8").splitlines()


def told(condition: Condition) -> str:
    match condition:
        case Contains(text, title):
            return f"{'title' if title else 'phrase'} {text}"
        case Compare("lang", "=", code):
            return f"lang {code}"
        case Compare(name, op, value):
            return f"{name}{op}{value}"
        case Not(Contains(text, False)):
            return f"not {text}"
        case Not(part):
            return f"not {told(part)}"
        case AnyOf(parts):
            return "lang " + "|".join(told(part).removeprefix("lang ") for part in parts)
        case AllOf(parts):
            return "; ".join(map(told, parts))


def test_there_are_two_hundred_queries_of_both_kinds() -> None:
    assert len(WITH) + len(WITHOUT) >= 200
    assert len(WITH) >= 50


@pytest.mark.parametrize(("typed", "text", "asked"), WITH, ids=[row[0] for row in WITH])
def test_syntax_is_read(typed: str, text: str, asked: str) -> None:
    parsed = parse_query(typed, kinds=KINDS, langs=LANGS)
    assert parsed.text == text
    assert parsed.where is not None
    assert parsed.where.condition is not None
    assert told(parsed.where.condition) == asked
    assert len(parsed.syntax) == asked.count(";") + 1
    assert all(piece in typed for piece in parsed.syntax)


@pytest.mark.parametrize("typed", WITHOUT)
def test_what_only_looks_like_syntax_is_text(typed: str) -> None:
    given = Where(frozenset(["en"]))
    parsed = parse_query(typed, given, kinds=KINDS, langs=LANGS)
    assert (parsed.text, parsed.where, parsed.syntax) == (typed, given, ())


def test_a_filter_that_was_given_holds_beside_the_syntax() -> None:
    given = Where(frozenset(["cs"]), {"author": "Čapek"}, Compare("year", ">", "1900"))
    where = parse_query("harbour -docks", given, kinds=KINDS, langs=LANGS).where
    assert where is not None
    assert (where.langs, where.fields) == (given.langs, given.fields)
    assert where.condition == AllOf((Compare("year", ">", "1900"), Not(Contains("docks"))))


def test_a_thousand_pieces_are_read_no_further_than_twenty() -> None:
    parsed = parse_query("fire " + "-docks " * 1000)
    assert len(parsed.syntax) == 20
    assert parsed.text.count("-docks") == 980


@pytest.mark.parametrize(
    ("text", "phrase", "held"),
    [
        ("The Great Fire of London", "great fire", True),
        ("The Great, Fire!", "great fire", True),
        ("A great big fire", "great fire", False),
        ("The greatest fire", "great fire", False),
        ("Velký požár Prahy", "velky pozar", True),
        ("a wi-fi router", "wi fi", True),
        ("東京大学の歴史", "京大", True),
        ("東京の大学", "東京大学", False),
        ("İŞÇİ bayramı", "işçi", True),
    ],
)
def test_words_stand_in_a_row(text: str, phrase: str, held: bool) -> None:
    assert contains(text, words_of(phrase)) is held


DOCUMENTS = [
    Document("a", "The great fire burned the old town and its docks.", "Disaster", "", "en", {"author": "Pepys"}),
    Document("b", "A great many people saw the fire in the harbour.", "Great fire", "", "en"),
    Document("c", "The harbour has ships and docks.", "Ships", "", "en", {"author": "Defoe"}),
    Document("d", "Velký požár zničil přístav.", "Požár", "", "cs"),
    Document("e", "東京大学の歴史と大火。", "大学", "", "ja"),
    Document("f", "The harbour is quiet at night. " * 60 + "Only the great fire was seen.", "", "", "en"),
    Document("g", "The harbour sleeps.", "", "", "en"),
]  # fmt: skip


@pytest.fixture(scope="module", params=["tantivy", "rank_bm25"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("asked") / "ix"
    build_index(
        path,
        DOCUMENTS,
        HashEncoder(64),
        lexical=LexicalSettings(backend=request.param),
        model="hash:64",
    )
    return path


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ('"great fire"', "abf"),  # in b's title, and in the last passage of f
        ('harbour "great fire"', "abf"),
        ("harbour -docks", "bdefg"),
        ('harbour -"great fire"', "cdeg"),
        ("harbour -harbour", "ade"),
        ("title:fire", "b"),
        ("harbour -title:ships", "abdefg"),
        ("fire lang:cs", "d"),
        ("author:Pepys fire", "a"),
        ("harbour author!=Defoe", "abdefg"),
        ('"東京大学" history', "e"),
        ('"東京の大学" history', ""),
        ("fire pozar -požár", "abcefg"),
    ],
)
def test_every_hit_fulfils_what_was_asked(place: Path, query: str, allowed: str, mode: str) -> None:
    index = tandem.open(place)
    hits = index.search(query, k=20, mode=mode)  # type: ignore[arg-type]
    found = {hit.document.id for hit in hits}
    assert found <= set(allowed)
    if mode != "lexical":
        assert found == set(allowed)  # meaning ranks all that may be found
    literal = index.search(query, k=20, mode="dense", literal=True)
    assert len(literal) == 7
    assert literal.syntax == ()
    assert hits.syntax
    index.close()


def test_a_wording_follows_changes(tmp_path: Path) -> None:
    build_index(tmp_path / "ix", DOCUMENTS, HashEncoder(64), model="hash:64")
    retriever = Retriever.open(tmp_path / "ix", HashEncoder(64), SearchSettings(mode="dense"))

    def found() -> str:
        parsed = retriever.parsed('"great fire" -docks')
        return "".join(
            sorted(id_ for id_, _ in retriever.rank([parsed.text], 20, None, parsed.where)[0])
        )

    assert found() == "bf"
    add_documents(tmp_path / "ix", [Document("h", "Great  FIRE!", "", "", "en")], HashEncoder(64))
    delete_documents(tmp_path / "ix", ["b"])
    retriever.refresh()
    assert found() == "fh"


def test_the_command_says_what_it_read_and_takes_it_literally_on_request(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runner(capsys)
    done = run("search", 'harbour "great fire" -docks', "-i", place, "--json")
    assert 'Read as syntax: "great fire"  -docks (--literal: as text)' not in done.out
    assert {json.loads(line)["id"] for line in done.out.splitlines()} <= set("bf")
    shown = run("search", "harbour -docks", "-i", place)
    assert "Read as syntax: -docks (--literal: as text)" in shown.err
    literal = run("search", "harbour -docks", "-i", place, "--literal", "--json", "-k", "7")
    assert "c" in {json.loads(line)["id"] for line in literal.out.splitlines()}


@pytest.mark.parametrize(
    "call",
    [
        ("search", "x", "-k", "0"),
        ("search", "..."),
        ("search", "x", "--lang", "klingon"),
        ("search",),
    ],
)
def test_a_call_that_is_wrong_ends_with_2(
    place: Path, call: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    ended = runner(capsys)(*call, "-i", place)
    assert ended.code == 2, ended.err
    assert ended.err


def test_below_the_floor_hits_are_the_nearest_and_no_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_index(tmp_path / "ix", DOCUMENTS, open_encoder("fast"))
    index = tandem.open(tmp_path / "ix")
    assert index.search("great fire")[0].score > 0.15
    close = index.search("the great fire burned the town")
    assert close.is_close(close[0])
    far = index.search("quantum chromodynamics lattice")
    assert not any(map(far.is_close, far))
    assert far.to_dicts()[0]["close"] is False
    dense = index.search("quantum chromodynamics lattice", mode="dense")
    assert dense.floor == 0.0  # a cosine is no probability
    off = tandem.open(tmp_path / "ix", settings={"search": {"floor": 0.0}})
    assert all(map(off.search("quantum chromodynamics lattice").is_close, far))
    ended = runner(capsys)("search", "quantum chromodynamics lattice", "-i", tmp_path / "ix")
    assert ended.out.startswith("Nothing close was found. Nearest:\n  1. ")


def test_a_mistyped_command_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for call, near in ((("serach", "x"), "search"), (("index", "biuld"), "build")):
        ended = runner(capsys)(*call)
        assert ended.code == 2
        assert f"Did you mean {near}?" in ended.err
    assert "Did you mean" not in runner(capsys)("zzzz").err
