"""The documents' own fields: kinds, filters for every signal, order, counts."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import Command, runner

from configs.errors import ConfigError, IndexFolderError
from configs.settings import DenseSettings, LexicalSettings
from indexer.build import add_documents, build_index, compact, delete_documents
from indexer.encoders.hash_encoder import HashEncoder
from indexer.folder import IndexFolder
from indexer.schema import AllOf, AnyOf, Compare, Condition, Contains, Document, Not, Where
from indexer.storage.columns import values_of
from indexer.storage.manifest import checksum, read_manifest
from indexer.text.conditions import parse_condition
from indexer.text.field_values import date_span, joined, kind_of, number, seen_in
from indexer.verify import verify
from retriever.retriever import Retriever

PAPERS = [
    ("a", "The bridge is closed", {"date": "1880-05-01", "paper": "Zeit", "price": "3", "tags": '["river", "road"]'}),
    ("b", "The bridge is open", {"date": "1880", "paper": "Die Welt", "price": "3.50", "tags": '["river"]'}),
    ("c", "The bridge was sold", {"date": "1.2.1881", "paper": "Zeit", "price": "-1e2"}),
    ("d", "The bridge has burnt", {"date": "1879-12-31T23:59:59Z", "paper": "zeit", "price": "10"}),
    ("e", "The bridge and no field", {}),
]  # fmt: skip


def papers() -> list[Document]:
    return [Document(id_, text, lang="en", fields=fields) for id_, text, fields in PAPERS]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fields") / "ix"
    build_index(path, papers(), HashEncoder(), model="hash")
    return path


def found(index: Path, condition: str, mode: str = "hybrid") -> str:
    retriever = Retriever.open(index, device="cpu")
    where = Where(condition=parse_condition(condition))
    hits = retriever.search("bridge", 10, mode, where)  # type: ignore[arg-type]
    return "".join(sorted(hit.document.id for hit in hits))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("paper=Zeit", "ac"),
        ("paper = Die Welt", "b"),
        ('paper="Die Welt"', "b"),
        ("paper!=Zeit", "bde"),
        ("paper in (Zeit, zeit)", "acd"),
        ("date>=1880", "abc"),
        ("date>1880", "c"),
        ("date<1880", "d"),
        ("date<=1880", "abd"),
        ("date=1880", "ab"),
        ("date=1880-05", "a"),
        ("date>1880-05-01", "c"),
        ("date>=1.5.1880", "ac"),
        ("price>3", "bd"),
        ("price>=3 and price<=3.5", "ab"),
        ("price=3.0", "a"),
        ("price<0", "c"),
        ("tags=river", "ab"),
        ("tags=river and tags=road", "a"),
        ("not tags=river", "cde"),
        ("date>=1880 and paper=Zeit", "ac"),
        ("paper=Zeit and (price<0 or tags=road)", "ac"),
        ("paper=Zeit and price<0 or paper=zeit", "cd"),
        ("lang=en and price=10", "d"),
        ("lang!=en", ""),
    ],
)
def test_a_condition_means_what_it_says_for_every_signal(
    index: Path, condition: str, expected: str
) -> None:
    for mode in ("hybrid", "dense", "lexical"):
        assert found(index, condition, mode) == expected


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("Dates>1880", "no document has a field 'Dates'; did you mean date?"),
        ("papre=Zeit", "did you mean paper?"),
        ("zzz=1", "they have: date, paper, price, tags"),
        ("price>cheap", "price is a number, and 'cheap' is none"),
        ("date=soon", "date is a date, and 'soon' is none; write 1880"),
        ("paper>A", "paper is a keyword, which can only be = or !=;.*--kind paper=number"),
        ("lang=klingon", "language 'klingon' is not known"),
    ],
)
def test_what_no_document_can_be_is_an_error_and_no_empty_list(
    index: Path, condition: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        found(index, condition)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a", "'a', is expected at the end"),
        ("a=", "a value is expected at the end"),
        ("=3", "the name of a field is expected before '=3'"),
        ("(a=1", "a closing parenthesis is expected at the end"),
        ("a=1 b=2", "and, or, or the end is expected before '=2'"),
        ("a='x", "a quote that is closed is expected"),
        ("a=1 and", "the name of a field is expected at the end"),
        ("a in (1", "a comma or a closing parenthesis"),
        ("", "the name of a field is expected at the end"),
        ("(" * 200 + "a=1" + ")" * 200, "something simpler"),
        ("a=" + "x" * 10_001, "at most 10,000 are read"),
    ],
)
def test_a_condition_that_cannot_be_read_says_where(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_condition(text)
    assert problem in str(caught.value)


def test_conditions_are_read_by_the_usual_precedence() -> None:
    a, b, c = (Compare(name, "=", "1") for name in "abc")
    assert parse_condition("a=1 or b=1 and not c==1") == AnyOf((a, AllOf((b, Not(c)))))
    assert parse_condition("(a=1 or b=1) and c=1") == AllOf((AnyOf((a, b)), c))
    assert parse_condition("a≠1") == Not(a)
    assert parse_condition('\'my field\' = "say \\"x\\""') == Compare("my field", "=", 'say "x"')
    assert parse_condition("Not = 3 AND AND = 4") == AllOf((Compare("Not", "=", "3"), Compare("AND", "=", "4")))  # fmt: skip


def test_kinds_are_those_of_all_values() -> None:
    assert [kind_of(seen_in(values)) for values in (["1880", "1881"], ["1880", "1880-05"], ["1", "2.5"],
            ["1880", "2.5"], ["1880-05", "2.5"], ["x", "1"], [])] == [
        "number", "date", "number", "number", "keyword", "keyword", "keyword",
    ]  # fmt: skip
    assert joined(seen_in(["1880"]), seen_in(["1880-05"])) == "date"
    texts = ["1", "-.5", "1e3", "1,5", "3,50", "1,234.5", "1.234,50", "1,2345", "nan", "1e999", "٣"]
    assert [number(text) for text in texts] == [
        1.0, -0.5, 1000.0, 1.5, 3.5, 1234.5, 1234.5, None, None, None, 3.0,
    ]  # fmt: skip
    day = 86_400
    assert date_span("1970") == (0, 365 * day)
    assert date_span("1970-02") == (31 * day, 59 * day)
    assert date_span("2.1.1970") == date_span("1970-01-02") == (day, 2 * day)
    assert date_span("1970-01-01T01:00+01:00") == (0, 60)
    assert [date_span(text) for text in ("1970-13", "1970-02-30", "70", "1970-1-1x")] == [None] * 4


def test_a_fields_kind_follows_its_values_and_what_is_declared_stays(tmp_path: Path) -> None:
    path = tmp_path / "ix"
    fields = {"year": "1880", "size": "3", "no": "007"}
    build_index(path, [Document("a", "x", fields=fields)], HashEncoder(16), kinds={"no": "keyword"})
    kinds = {"year": "number", "size": "number", "no": "keyword"}
    assert IndexFolder.open(path, HashEncoder(16)).fields == kinds
    later = {"year": "1880-05", "size": "large", "no": "8"}
    add_documents(path, [Document("b", "y", fields=later)], HashEncoder(16))
    assert IndexFolder.open(path, HashEncoder(16)).fields == {
        "year": "date",
        "size": "keyword",
        "no": "keyword",
    }
    delete_documents(path, ["b"], HashEncoder(16))
    compact(path)
    assert IndexFolder.open(path, HashEncoder(16)).fields == kinds
    with pytest.raises(ConfigError, match="no document has a field 'siez'; did you mean size"):
        add_documents(path, [Document("c", "z")], HashEncoder(16), kinds={"siez": "number"})
    assert read_manifest(path).documents == 1


def changed(path: Path, statement: str, without: str = "checksum") -> None:
    """Change the documents' database of an index folder, and have the manifest vouch for it."""
    for file in path.glob("*/documents.sqlite"):
        database = sqlite3.connect(file)
        database.executescript(statement)
        database.close()
    values = json.loads((path / "manifest.json").read_text("utf-8"))
    for key in {"checksum", without}:
        del values[key]
    for name in values["files"]:
        data = (path / name).read_bytes()
        values["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    values["checksum"] = checksum(values)
    (path / "manifest.json").write_text(json.dumps(values), "utf-8")


def test_an_index_of_an_older_version_is_filtered_just_so(tmp_path: Path) -> None:
    path = tmp_path / "ix"
    build_index(path, papers(), HashEncoder(), model="hash")
    # an older version has no columns, and no fields in its manifest
    changed(path, "DROP TABLE columns", without="fields")
    assert found(path, "date>=1880 and paper=Zeit") == "ac"
    more = Document("f", "The bridge again", lang="en", fields={"date": "1900", "price": "n/a"})
    add_documents(path, [more], HashEncoder())
    assert found(path, "date>=1881") == "cf"
    assert IndexFolder.open(path, HashEncoder()).fields["price"] == "keyword"
    compact(path)
    assert found(path, "date>=1881 or paper=Zeit") == "acf"


def reference(condition: Condition, document: Document) -> bool:
    """What a condition means, one document at a time, for fields of numbers."""
    match condition:
        case AllOf(parts):
            return all(reference(part, document) for part in parts)
        case AnyOf(parts):
            return any(reference(part, document) for part in parts)
        case Not(part):
            return not reference(part, document)
        case Contains():
            raise AssertionError("no wording here")
        case Compare(name, op, value):
            holds: dict[str, Callable[[float, float], bool]] = {
                "=": lambda a, b: a == b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
                ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
            }  # fmt: skip
            values = [float(text) for text in values_of(document.fields.get(name, "")) if text]
            return any(holds[op](v, float(value)) for v in values)


def random_condition(chance: random.Random, depth: int = 3) -> Condition:
    if depth == 0 or chance.random() < 0.3:
        op = chance.choice(["=", "<", "<=", ">", ">="])
        return Compare(chance.choice("mn"), op, str(chance.randrange(10)))  # type: ignore[arg-type]
    parts = tuple(random_condition(chance, depth - 1) for _ in range(chance.randint(1, 3)))
    made: list[Condition] = [AllOf(parts), AnyOf(parts), Not(parts[0])]
    return chance.choice(made)


@pytest.mark.parametrize("backend", ["tantivy", "rank_bm25"])
@pytest.mark.parametrize("factory", ["Flat", "IVF8,Flat", "HNSW8"])
def test_random_conditions_leave_the_documents_they_should(
    tmp_path: Path, factory: str, backend: str
) -> None:
    chance = random.Random(5)
    path = tmp_path / "ix"

    def made(n: int) -> Document:
        fields = {"m": str(chance.randrange(10)), "n": json.dumps([chance.randrange(10) for _ in range(n % 3)])}  # fmt: skip
        return Document(f"d{n}", "same words here", lang="en", fields={k: v for k, v in fields.items() if v != "[]"})  # fmt: skip

    documents = [made(n) for n in range(300)]
    settings = {"dense": DenseSettings(factory=factory), "lexical": LexicalSettings(backend=backend)}  # type: ignore[arg-type]  # fmt: skip
    build_index(path, documents[:200], HashEncoder(16), **settings)  # type: ignore[arg-type]
    add_documents(path, documents[200:], HashEncoder(16))
    delete_documents(path, ["d7", "d250"], HashEncoder(16))
    live = [d for d in documents if d.id not in ("d7", "d250")]
    folder = IndexFolder.open(path, HashEncoder(16), "cpu")
    query = folder.queries(["same words"])[0]
    for _ in range(25):
        condition = random_condition(chance)
        where = Where(condition=condition)
        expected = {d.id for d in live if reference(condition, d)}
        for signal in (folder.dense, folder.lexical):
            keys = signal.search(query, 300, where).keys
            assert set(folder.ids(folder.documents_of(keys))) == expected, condition
    folder.close()


def test_one_document_in_many_is_found_by_both_sides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small limits, so that the ways of large indexes are gone: lists of an IVF, hits taken until enough pass."""
    monkeypatch.setattr("indexer.search.dense.FLAT_LIMIT", 3)
    monkeypatch.setattr("indexer.search.lexical._FEW", 3)
    documents = [
        Document(f"d{n}", f"words of document {n % 7}", lang="en", fields={"n": str(n), "half": str(n % 2)})
        for n in range(5000)
    ]  # fmt: skip
    path = tmp_path / "ix"
    build_index(path, documents, HashEncoder(16), dense=DenseSettings(factory="IVF16,Flat"))
    folder = IndexFolder.open(path, HashEncoder(16), "cpu")
    query = folder.queries(["words of document"])[0]
    for condition, expected in (("n=4321", ["d4321"]), ("n in (3, 4997)", ["d3", "d4997"]),
                                ("n>=4990", [f"d{n}" for n in range(4990, 5000)])):  # fmt: skip
        where = Where(condition=parse_condition(condition))
        for signal in (folder.dense, folder.lexical):
            keys = signal.search(query, 10, where).keys
            assert sorted(folder.ids(folder.documents_of(keys))) == sorted(expected)
    half = Where(condition=parse_condition("half=1"))
    every = folder.lexical.search(query, 5000).keys
    passing = folder.lexical.search(query, 700, half).keys
    odd = [key for key in every.tolist() if key % 2][:700]
    assert passing.tolist() == odd
    assert len(folder.dense.search(query, 100, half).keys) == 100
    folder.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE columns SET codes = x'ff00000000000000' WHERE name = 'paper'",
        "UPDATE columns SET documents = x'00'",
        "UPDATE columns SET ends = 'text'",
        "UPDATE columns SET texts = x'ff'",
        "DROP TABLE columns; CREATE VIEW columns AS SELECT 'paper' AS name, 1 AS documents",
    ],
)
def test_damaged_columns_are_told(tmp_path: Path, statement: str) -> None:
    build_index(tmp_path, papers(), HashEncoder(), model="hash")
    changed(tmp_path, statement)
    with pytest.raises(IndexFolderError, match="the index is damaged: segment 1 of 1"):
        found(tmp_path, "paper=Zeit")
    assert any("documents.sqlite: the index is damaged" in problem for problem in verify(tmp_path))


def test_columns_that_are_not_those_of_the_documents_are_told(tmp_path: Path) -> None:
    build_index(tmp_path, papers(), HashEncoder(), model="hash")
    assert verify(tmp_path) == []
    changed(tmp_path, "UPDATE documents SET fields = '{\"price\": \"1\"}' WHERE id = 'e'")
    assert verify(tmp_path) == [
        "documents.sqlite: the column of the field 'price' has 4 values, the documents 5"
    ]


def test_hits_are_sorted_by_a_field_and_counted(index: Path) -> None:
    retriever = Retriever.open(index, device="cpu")

    def order(sort: str, **options: int) -> str:
        hits = retriever.search("bridge", sort=sort, **options)  # type: ignore[arg-type]
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
        return "".join(hit.document.id for hit in hits)

    assert order("date") == "dbace"
    assert order("-date") == "cabde"
    assert order("price") == "cabde"
    assert order("-price")[:4] == "dbac"
    assert order("tags")[:2] in ("ab", "ba")
    assert order("date", k=2) == "db"
    assert "".join(h.document.id for h in retriever.search("bridge", 2, offset=2, sort="date")) == "ac"  # fmt: skip
    with pytest.raises(ConfigError, match="no document has a field 'dat'; did you mean date"):
        order("dat")
    facets = retriever.facets("bridge", ["paper", "tags"])
    assert facets == {
        "paper": {"Zeit": 2, "Die Welt": 1, "zeit": 1},
        "tags": {"river": 2, "road": 1},
    }
    where = Where(condition=parse_condition("price>0"))
    assert retriever.facets("bridge", ["paper"], where=where)["paper"]["Zeit"] == 1
    assert IndexFolder.open(index, HashEncoder()).field_counts("tags") == {"river": 2, "road": 1}


def test_names_that_differ_in_case_are_one_field(tmp_path: Path) -> None:
    spelled = [("a", "Date", "1880"), ("b", "date", "1881-05"), ("c", "DATE", "1879-01-01")]
    documents = [
        Document(i, "bridge", lang="en", fields={name: value}) for i, name, value in spelled
    ]
    build_index(tmp_path / "ix", documents[:1], HashEncoder(), model="hash")
    add_documents(tmp_path / "ix", documents[1:], HashEncoder())
    retriever = Retriever.open(tmp_path / "ix", device="cpu")
    assert IndexFolder.open(tmp_path / "ix", HashEncoder()).fields == {"DATE": "date"}
    assert found(tmp_path / "ix", "dAtE>=1880") == "ab"
    assert [hit.document.id for hit in retriever.search("bridge", sort="date")] == ["c", "a", "b"]
    assert len(retriever.facets("bridge", ["date"])["date"]) == 3


def test_equal_values_keep_the_order_of_relevance(tmp_path: Path) -> None:
    documents = [
        Document(f"d{n}", "bridge " * (n + 1), lang="en", fields={"g": str(n % 2)}) for n in range(6)
    ]  # fmt: skip
    build_index(tmp_path / "ix", documents, HashEncoder(), model="hash")
    retriever = Retriever.open(tmp_path / "ix", device="cpu")
    relevant = [hit.document.id for hit in retriever.search("bridge")]
    for sort in ("g", "-g"):
        hits = retriever.search("bridge", sort=sort)
        for _, group in itertools.groupby(hits, lambda hit: hit.document.fields["g"]):
            ids = [hit.document.id for hit in group]
            assert ids == [id_ for id_ in relevant if id_ in ids]


def test_the_command_filters_sorts_counts_and_shows(run: Command, index: Path) -> None:
    ended = run("search", "bridge", "-i", index, "--where", "date>=1880", "--where", "paper=Zeit",
                "--sort", "-date", "--facet", "paper")  # fmt: skip
    lines = ended.out.splitlines()
    assert [line.split()[-1] for line in lines if line[:4].strip().rstrip(".").isdigit()] == [
        "c",
        "a",
    ]
    assert "     date 1880-05-01 · paper Zeit · price 3 · tags river, road" in lines
    assert lines[-1] == "paper: Zeit 2"
    records = [json.loads(line) for line in run("search", "bridge", "-i", index, "--json", "--where",
               "price=3", "--facet", "paper").out.splitlines()]  # fmt: skip
    assert records[0]["fields"]["paper"] == "Zeit"
    assert records[-1] == {"query": "bridge", "facets": {"paper": {"Zeit": 1}}}
    wrong = run("search", "bridge", "-i", index, "--where", "papre=Zeit")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.endswith("Error: no document has a field 'papre'; did you mean paper?\n")
    assert run("search", "bridge", "-i", index, "--field", "papre=Zeit").code == 2


def test_kinds_are_declared_where_an_index_is_made(run: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text,no\n1,x,3\n2,y,n/a\n")
    command = ["index", "build", tmp_path / "a.csv", "-o", tmp_path / "ix", "--encoder", "hash"]
    assert run(*command, "--kind", "no=number").code == 0
    shown = run("search", "x", "-i", tmp_path / "ix", "--where", "no>=2", "--json").out
    assert [json.loads(line)["id"] for line in shown.splitlines()] == ["1"]
    assert "no (number)" in run("index", "info", tmp_path / "ix").out
    ended = run(*command, "--overwrite", "--kind", "no=money")
    assert ended.code == 2
    assert "field no: the kind 'money'" in ended.err and "keyword" in ended.err
    assert run(*command, "--overwrite", "--kind", "no").code == 2


def test_long_and_odd_values_are_compared_whole(tmp_path: Path) -> None:
    long = "x" * 5000
    documents = [Document("a", "bridge", fields={"v": long, "odd \u0000 name": "1"}),
                 Document("b", "bridge", fields={"v": long + "y", "w": '"quoted" \\ \'both\''})]  # fmt: skip
    build_index(tmp_path / "ix", documents, HashEncoder(), model="hash")
    folder = IndexFolder.open(tmp_path / "ix", HashEncoder(), "cpu")
    query = folder.queries(["bridge"])[0]

    def ids(where: Where) -> list[str]:
        folder.check_where(where)
        return folder.ids(folder.documents_of(folder.lexical.search(query, 5, where).keys))

    assert ids(Where(fields={"v": long})) == ["a"]
    assert ids(Where(fields={"w": "\"quoted\" \\ 'both'"})) == ["b"]
    assert ids(Where(fields={"odd \u0000 name": "1"})) == ["a"]
    assert folder.field_counts("v") == {}
    assert np.array_equal(folder.store.column("v").documents, [0, 1])
    folder.close()
