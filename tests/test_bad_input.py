"""Bad input, from the command line to the end: one clear line, the right exit code, nothing lost."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from commands import Command, Ended, runner

from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.folder import IndexFolder
from indexer.schema import Document

GOOD = '{"id": "good", "text": "a hospital in Prague", "lang": "en"}\n'


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bad") / "index"
    documents = [
        Document("a", "The hospital is open all day.", "Hospital", "", "en"),
        Document("b", "Zámek nad řekou má zahradu.", "Zámek", "", "cs"),
    ]
    build_index(path, documents, HashEncoder(), model="hash")
    return path


def refused(ended: Ended, *words: str, code: int = 1) -> None:
    assert ended.code == code, ended
    last = ended.err.strip().splitlines()[-1]
    assert last.startswith("Error: "), ended.err
    for word in words:
        assert word in last, ended.err
    assert len(last) < 500
    assert "Traceback" not in ended.err
    assert ended.out == ""


def build(run: Command, tmp_path: Path, *sources: object) -> Ended:
    return run("index", "build", *sources, "-o", tmp_path / "new.index", "--encoder", "hash")


def test_a_missing_file(run: Command, tmp_path: Path) -> None:
    refused(build(run, tmp_path, tmp_path / "no.jsonl"), "no.jsonl", "no such file")
    assert not (tmp_path / "new.index").exists()


def test_an_empty_file(run: Command, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    refused(build(run, tmp_path, tmp_path / "empty.jsonl"), "empty.jsonl", "the file is empty")
    assert not (tmp_path / "new.index").exists()


def test_a_folder_where_a_file_is_meant(run: Command, tmp_path: Path, index: Path) -> None:
    refused(run("search", "-i", index, "--queries", tmp_path), "a folder, not a file")
    refused(
        run("search", "x", "-i", index, "--config", tmp_path), "a folder; name a YAML file", code=2
    )


def test_a_file_where_a_folder_is_meant(run: Command, tmp_path: Path) -> None:
    file = tmp_path / "docs.jsonl"
    file.write_text(GOOD)
    refused(run("search", "x", "-i", file), "docs.jsonl", "not an index folder")
    refused(run("index", "build", file, "-o", file, "--encoder", "hash"), "a file stands there")
    assert file.read_text() == GOOD


def test_a_binary_file(run: Command, tmp_path: Path) -> None:
    (tmp_path / "bin.jsonl").write_bytes(bytes(range(256)) * 40)
    ended = build(run, tmp_path, tmp_path / "bin.jsonl")
    refused(ended, "no document could be used")
    assert "bin.jsonl:1" in ended.err


def test_lines_that_cannot_be_used_are_set_aside_and_the_rest_is_indexed(
    run: Command, tmp_path: Path
) -> None:
    bad = [
        b"not json", b'{"id": "utf", "text": "\xff"}', b'{"id": "x\\ny", "text": "x"}',
        b'{"id": "' + b"i" * 10_000 + b'", "text": "x"}', b'{"id": "empty", "text": ""}',
        b'{"id": "half", "text": "\\ud800"}', b'{"id": "good", "text": "another"}',
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_bytes(
        GOOD.encode() + b"\n".join(bad) + b'\n{"id": "z", "text": "x"}\n'
    )
    ended = build(run, tmp_path, tmp_path / "a.jsonl")
    assert ended.code == 1
    assert "2 documents" in ended.out
    assert "Error: 7 set aside in" in ended.err
    lines = (tmp_path / "new.index" / "rejects.jsonl").read_text().splitlines()
    reasons = [json.loads(line)["reason"] for line in lines]
    assert len(reasons) == 7
    wanted = [
        "no JSON",
        "no UTF-8",
        "newline",
        "10,000 characters",
        "empty",
        "half a char",
        "before",
    ]
    assert all(any(word in reason for reason in reasons) for word in wanted)
    assert {json.loads(line)["line"] for line in lines} >= {2, 3, 4, 5, 6, 7}
    folder = IndexFolder.open(tmp_path / "new.index")
    assert set(folder.document_ids()) == {"good", "z"}
    folder.close()


def test_strict_stops_at_the_first_and_changes_nothing(run: Command, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD + "not json\n")
    arguments = ["index", "build", tmp_path / "a.jsonl", "-o", tmp_path / "i", "--encoder", "hash"]
    refused(run(*arguments, "--strict"), "a.jsonl:2: no JSON", "nothing was changed")
    refused(run("search", "x", "-i", tmp_path / "i"), "not an index folder")


def test_a_document_of_50_mb(run: Command, tmp_path: Path) -> None:
    huge = json.dumps({"id": "huge", "text": "word " * 10_000_000})
    (tmp_path / "a.jsonl").write_text(GOOD + huge + "\n")
    ended = build(run, tmp_path, tmp_path / "a.jsonl")
    assert ended.code == 1
    assert "50,000,000 characters; the limit is 10,000,000" in ended.err
    assert "1 document added" in ended.out
    assert (tmp_path / "new.index" / "rejects.jsonl").stat().st_size > 50_000_000


def test_a_folder_that_is_no_index(run: Command, tmp_path: Path) -> None:
    refused(run("search", "x", "-i", tmp_path), "not an index folder")
    refused(run("search", "x", "-i", tmp_path / "no"), "no such index folder", "tandem index build")
    for command in ("info", "compact", "verify"):
        refused(run("index", command, tmp_path), "not an index folder")
    refused(run("index", "delete", "-i", tmp_path, "a"), "not an index folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["indexer.storage.manifest._values", "indexer.folder.open_store"])
def test_an_index_of_another_user_is_not_said_to_be_damaged(
    run: Command, index: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(*given: object) -> None:
        raise PermissionError(13, "Permission denied", str(index / "manifest.json"))

    monkeypatch.setattr(name, refuse)  # root, as which tests may run, is refused nothing
    ended = run("search", "hospital", "-i", index)
    assert ended.code == 1
    assert "this user may not read it" in ended.err and "damaged" not in ended.err


def test_an_index_that_stands_there_is_not_replaced_unasked(
    run: Command, tmp_path: Path, index: Path
) -> None:
    (tmp_path / "a.jsonl").write_text("not json\n" + GOOD)
    before = sorted(path.name for path in index.iterdir())
    refused(
        run("index", "build", tmp_path / "a.jsonl", "-o", index, "--encoder", "hash"), "--overwrite"
    )
    assert sorted(path.name for path in index.iterdir()) == before


def test_an_index_of_another_encoder(run: Command, tmp_path: Path, index: Path) -> None:
    named = "--set", "encoder.model=hash:64"
    refused(run("search", "x", "-i", index, *named), "written with the encoder hash:256", "hash:64")
    (tmp_path / "a.jsonl").write_text(GOOD)
    refused(run("index", "add", tmp_path / "a.jsonl", "-i", index, *named), "hash:256")


def test_deleting_what_is_not_there_deletes_nothing(run: Command, index: Path) -> None:
    refused(run("index", "delete", "-i", index, "a", "nowhere"), "'nowhere'", "nothing was deleted")
    assert run("index", "info", index).out.splitlines()[0].split() == ["documents", "2"]


def test_a_target_that_may_not_be_written(run: Command, tmp_path: Path) -> None:
    target = tmp_path / "readonly"
    target.mkdir(mode=0o555)
    if os.access(target, os.W_OK):  # root may write anywhere, but not there
        target = Path("/proc")
        if not target.is_dir():
            pytest.skip("no folder that this user may not write to")
    source = tmp_path / "a.jsonl"
    source.write_text("not json\n" + GOOD)
    ended = run("index", "build", source, "-o", target / "index", "--encoder", "hash")
    refused(ended, "cannot be written", "choose a folder you may write to")
    assert not (target / "index").exists()


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("x" * 100_000, "100,000 characters; the limit is 10,000"),
        ("?!... --", "has no word to search for"),
        ("🎉🎉", "has no word to search for"),
        ("", "has no word to search for"),
        ("half \udcff", "not UTF-8"),
    ],
)
def test_a_query_that_cannot_be_searched(
    run: Command, index: Path, query: str, problem: str
) -> None:
    refused(run("search", "-i", index, "--", query), problem, code=2)


def test_stop_words_are_searched(run: Command, index: Path) -> None:
    ended = run("search", "the of and", "-i", index)
    assert ended.code == 0
    assert "1." in ended.out


def test_k(run: Command, index: Path) -> None:
    refused(run("search", "hospital", "-i", index, "-k", 0), "0 is not in the range x>=1", code=2)
    ended = run("search", "hospital", "-i", index, "-k", 10**12, "--json")
    assert ended.code == 0
    assert len(ended.out.splitlines()) == 2


def test_an_unknown_language(run: Command, index: Path) -> None:
    refused(
        run("search", "x", "-i", index, "--lang", "czech"), "'czech'", "did you mean cs?", code=2
    )
    refused(run("analyze", "x", "--lang", "xx"), "'xx'", "ISO 639-1", code=2)


def test_an_unknown_setting(run: Command, index: Path) -> None:
    ended = run("search", "x", "-i", index, "--set", "search.poool=3")
    refused(ended, "search.poool", "did you mean search.pool?", code=2)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--set", "search.k=abc", "search.k must be int"),
        ("--where", "(a", "is expected at the end"),
        ("--sort", "nofield", "no document has a field 'nofield'"),
        ("--facet", "nofield", "no document has a field 'nofield'"),
    ],
)
def test_an_option_that_cannot_be_right_ends_with_code_2(
    run: Command, index: Path, option: str, value: str, said: str
) -> None:
    refused(run("search", "x", "-i", index, option, value), said, code=2)


def test_an_unknown_kind_of_field_names_its_option(run: Command, tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text(GOOD)
    ended = run("index", "build", tmp_path / "docs.jsonl", "-o", tmp_path / "i", "--kind", "a=word")
    assert ended.code == 2
    assert "field a: the kind 'word' is not known; one of keyword, number" in ended.err
    assert not (tmp_path / "i").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["search"], ["search", "x"], ["serach"], ["index", "build", "-o", "x"], ["search", "--best"],
        ["search", "x", "-i", "i", "--mode", "best"], ["search", "x", "-i", "i", "-k", "many"],
        ["search", "x", "-i", "i", "--queries", "f"], ["search", "x", "-i", "i", "--field", "a"],
    ],
)  # fmt: skip
def test_a_call_that_is_wrong_ends_with_2(run: Command, arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.code == 2
    assert "Usage: tandem" in ended.err
    assert "Error: " in ended.err


def test_queries_of_a_file_that_cannot_be_searched_are_passed_over(
    run: Command, tmp_path: Path, index: Path
) -> None:
    file = tmp_path / "q.tsv"
    file.write_text("q1\thospital\nq2\t!!!\nplain query\n\n")
    ended = run("search", "-i", index, "--queries", file, "--json", "-k", 1)
    assert ended.code == 1
    assert [json.loads(line)["query_id"] for line in ended.out.splitlines()] == ["q1", "3"]
    assert f"{file}:2" in ended.err
    file.write_bytes(b"good\n\xff\n")
    refused(run("search", "-i", index, "--queries", file), f"{file}:2", "no UTF-8")
