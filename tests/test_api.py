"""`import tandem`: quick, typed and complete; its documentation runs; its tables hold no markup of strangers."""

from __future__ import annotations

import ast
import doctest
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import tandem
from indexer.encoders.hash_encoder import HashEncoder
from indexer.folder import IndexFolder

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    {"id": "a", "text": "A hospital in Prague", "year": "1931"},
    {"id": "b", "text": "Nemocnice v Brně", "lang": "cs"},
    {
        "id": "c",
        "text": "bread and butter",
        "title": "Lunch",
        "url": "https://example.org/c?x=1&y=2",
    },
]


@pytest.fixture
def index(tmp_path: Path) -> tandem.SearchIndex:
    return tandem.build(DOCUMENTS, tmp_path / "i", encoder="hash")


def test_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    path = str(ROOT / "docs" / "api.md")
    found = doctest.testfile(path, module_relative=False, optionflags=flags, encoding="utf-8")
    assert found.attempted > 20
    assert found.failed == 0


def test_every_name_is_there_and_nothing_is_loaded_before_it_is_used() -> None:
    assert sorted(tandem.__all__) == tandem.__all__
    assert set(tandem.API) <= set(tandem.__all__)
    for name in tandem.__all__:
        assert getattr(tandem, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'serach'"):
        _ = tandem.serach  # type: ignore[attr-defined]
    code = (
        "import sys, time; begun = time.perf_counter(); import tandem; "
        "print(time.perf_counter() - begun); print(sorted(sys.modules)); tandem.Settings; tandem.Document"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    modules = done.stdout.splitlines()[1]
    for heavy in ("numpy", "faiss", "torch", "tantivy", "yaml", "indexer", "retriever"):
        assert f"'{heavy}'" not in modules, heavy


def test_the_stubs_of_an_installed_tandem_name_what_it_offers() -> None:
    stub = (ROOT / "tandem-stubs" / "__init__.pyi").read_text("utf-8")
    listed = ast.parse(stub[stub.index("__all__") : stub.index("]") + 1]).body[0]
    assert isinstance(listed, ast.Assign)
    assert ast.literal_eval(listed.value) == tandem.__all__
    setup = (ROOT / "setup.cfg").read_text("utf-8")
    assert "* = py.typed, *.pyi" in setup
    for folder in ("configs", "indexer", "retriever"):
        assert (ROOT / folder / "py.typed").is_file()


def test_files_and_folders_are_sources_as_documents_are(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "one.txt").write_text("a lighthouse on the rock", "utf-8")
    lines = tmp_path / "two.jsonl"
    lines.write_text(json.dumps({"id": "two", "text": "a windmill"}) + "\n", "utf-8")
    one = tandem.build(notes, tmp_path / "1", encoder="hash")
    both = tandem.build([notes, str(lines)], tmp_path / "2", encoder="hash")
    assert [document.id for document in one] == ["one.txt"]
    assert [document.id for document in both] == ["one.txt", "two"]
    with pytest.raises(tandem.DocumentError, match="a Document among paths"):
        tandem.build([notes, tandem.Document("x", "y")], tmp_path / "4", encoder="hash")
    generated = (tandem.Document(f"d{n}", f"text number {n}") for n in range(3))
    assert len(tandem.build(generated, tmp_path / "3", encoder=HashEncoder(32))) == 3


def test_text_that_is_not_searched_is_a_warning_that_names_its_field(tmp_path: Path) -> None:
    record = {"id": "a", "title": "Bridge", "remark": "it will be closed until spring comes again"}
    with pytest.warns(UserWarning, match=r"not searched stands in the fields 'remark'; .*Columns"):
        tandem.build([record], tmp_path / "a", "hash", progress=False).close()
    read = tandem.ReadOptions(columns=tandem.Columns(texts=("remark",)))
    with tandem.build([record], tmp_path / "b", "hash", progress=False, read=read) as index:
        assert index.search("spring", mode="lexical")[0].document.text == record["remark"]


def test_what_cannot_be_used_is_a_warning_or_with_strict_an_error(tmp_path: Path) -> None:
    bad: list[Any] = [{"id": "good", "text": "words"}, {"id": "empty"}, "oops", {"text": "no id"}]
    with pytest.warns(
        UserWarning, match=r"3 set aside in .*rejects.jsonl, the rest is indexed: doc"
    ):
        index = tandem.build(bad, tmp_path / "i", encoder="hash")
    assert [document.id for document in index] == ["good"]
    reasons = [
        json.loads(line)["reason"]
        for line in (tmp_path / "i" / "rejects.jsonl").read_text("utf-8").splitlines()
    ]
    assert sorted(reasons) == [
        "a Document or a mapping is expected, not str",
        "no id; one of id, _id, doc_id, docid, docno, document_id, identifier, uuid is expected",
        "title and text are empty",
    ]
    with pytest.raises(tandem.DocumentError, match="document 3: a Document or a mapping"):
        tandem.build(bad, tmp_path / "j", encoder="hash", strict=True)
    with pytest.raises(tandem.DocumentError, match="nothing was indexed") as caught:
        tandem.build([{"id": "x"}], tmp_path / "k", encoder="hash")
    assert caught.value.__notes__ == ["set aside: document 1: title and text are empty"]
    with pytest.raises(tandem.DocumentError, match="no such file"):
        tandem.build("nowhere.jsonl", tmp_path / "l", encoder="hash")


def test_an_index_is_changed_and_seen_changed(index: tandem.SearchIndex) -> None:
    other = tandem.open(index.place)
    assert index.add([tandem.Document("d", "a glacier")]).added == 1
    assert "d" in index and "d" not in other
    assert other.refresh() and "d" in other and not other.refresh()
    assert index.delete(["a", "d"]).deleted == 2
    assert [document.id for document in index] == ["b", "c"]
    with pytest.raises(tandem.DocumentError, match="not in the index: 'zzz'; nothing was deleted"):
        index.delete("zzz")
    assert index.get("zzz") is None
    assert 7 not in index


def test_an_index_goes_on_with_the_encoder_it_was_built_with(tmp_path: Path) -> None:
    encoder = HashEncoder(48)
    index = tandem.build(DOCUMENTS, tmp_path / "i", encoder=encoder)
    assert index.encoder is encoder
    index.add([{"id": "d", "text": "a glacier"}])
    assert tandem.open(tmp_path / "i").encoder.dim == 48
    assert IndexFolder.open(tmp_path / "i").manifest.encoder.model == "hash:48"
    with pytest.raises(tandem.IndexFolderError, match="written with the encoder hash:48"):
        tandem.open(tmp_path / "i", encoder="hash:64")


def test_a_filter_is_languages_and_fields(index: tandem.SearchIndex) -> None:
    assert [h.document.id for h in index.search("hospital", where={"lang": "cs"})] == ["b"]
    assert [h.document.id for h in index.search("hospital", where={"year": "1931"})] == ["a"]
    both = {"lang": ["cs", "en"], "year": "1931"}
    assert [h.document.id for h in index.search("hospital", where=both)] == ["a"]
    where = tandem.Where(frozenset(["cs"]))
    assert index.search("hospital", where=where) == index.search("hospital", where={"lang": "cs"})
    with pytest.raises(tandem.ConfigError, match="where year: one text is expected"):
        index.search("hospital", where={"year": ["1931", "1932"]})
    with pytest.raises(tandem.ConfigError, match="did you mean cs"):
        index.search("hospital", where={"lang": "Czech"})


def test_hits_are_a_sequence(index: tandem.SearchIndex) -> None:
    hits = index.search("hospital in Prague")
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert hits[0].document.id == "a"
    assert isinstance(hits[1:], tandem.Hits) and len(hits[1:]) == 2
    assert hits == index.search("hospital in Prague") and hits != hits[1:]
    assert len({hits, index.search("hospital in Prague")}) == 1
    assert repr(hits).splitlines()[0] == "3 hits for 'hospital in Prague'"
    assert repr(hits[:1]).splitlines()[0] == "1 hit for 'hospital in Prague'"
    assert hits.to_dicts()[0]["passage"] == "A hospital in Prague"
    page = index.search("hospital in Prague", 1, offset=1)
    assert [(hit.rank, hit.document.id) for hit in page] == [(2, hits[1].document.id)]


def test_a_table_of_hits_holds_no_markup_of_the_documents(tmp_path: Path) -> None:
    evil = tandem.Document(
        '"><i>',
        "bread <script>alert(1)</script> & more",
        "<b>bread\x1b[31m</b>",
        "javascript:alert(1)",
    )
    good = tandem.Document("c", "bread", "Lunch", "https://example.org/c?x=1&y='2'")
    hits = tandem.build([evil, good], tmp_path / "i", encoder="hash").search("bread <i>")
    table = hits._repr_html_()
    assert "<caption>bread &lt;i&gt;</caption>" in table
    assert ">bread</mark> &lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in table
    assert "<b>&lt;b&gt;bread [31m&lt;/b&gt;</b> <small>&quot;&gt;&lt;i&gt;</small>" in table
    assert "javascript:" not in table
    assert (
        '<a href="https://example.org/c?x=1&amp;y=&#x27;2&#x27;" rel="noreferrer">Lunch</a>'
        in table
    )
    assert "\x1b" not in repr(hits)


def test_progress_is_a_bar_a_function_or_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[tuple[int, int | None]] = []
    tandem.build(
        DOCUMENTS, tmp_path / "i", encoder="hash", progress=lambda *step: told.append(step)
    )
    assert told == [(3, None)]
    file = tmp_path / "d.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in DOCUMENTS), "utf-8")
    told.clear()
    tandem.build(file, tmp_path / "j", encoder="hash", progress=lambda *step: told.append(step))
    assert told[-1] == (file.stat().st_size, file.stat().st_size)
    tandem.build(DOCUMENTS, tmp_path / "k", encoder="hash", progress=False)
    assert capsys.readouterr() == ("", "")  # the test's stderr is no terminal


def test_settings_are_an_object_or_mappings_and_mistakes_are_named(
    tmp_path: Path, index: tandem.SearchIndex
) -> None:
    opened = tandem.open(index.place, settings={"search": {"k": 1}})
    assert len(opened.search("hospital")) == 1 and len(opened.search("hospital", 2)) == 2
    with pytest.raises(tandem.ConfigError, match=r"no setting search.kk; did you mean search.k\?"):
        tandem.open(index.place, settings={"search": {"kk": 1}})
    small = {"passages": {"size": 20, "overlap": 0}}
    long = [{"id": "x", "text": "One sentence here. Another one. And a third."}]
    built = tandem.build(long, tmp_path / "j", encoder="hash", settings=small)
    assert built.retriever.collection.facts.passages == 3


def test_a_closed_index_lets_go_of_its_files(index: tandem.SearchIndex) -> None:
    with warnings.catch_warnings(), index:
        assert index.get("a") is not None
    with pytest.raises(Exception, match="closed"):
        index.get("a")
