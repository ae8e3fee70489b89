"""`tandem search` and `tandem analyze` from the command line."""

from __future__ import annotations

import csv
import gzip
import json
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from commands import Command, runner

from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("search") / "index"
    documents = [
        Document(
            "cs-1", "Nemocnice v Praze je otevřena.", "Nemocnice", "", "cs", {"kind": "place"}
        ),
        Document("en-1", "The hospital in Prague is open.", "Hospital", "http://h", "en"),
        Document("evil", "red \x1b[31malert\x07 owl", "Title\twith\x1b[2J tab", "", "en"),
    ]
    build_index(path, documents, HashEncoder(), model="hash")
    return path


def test_hits_are_shown_best_first_with_language_score_id_and_snippet(
    run: Command, index: Path
) -> None:
    ended = run("search", "nemocnice v Praze", "-i", index)
    first, second = ended.out.splitlines()[:2]
    assert first.startswith("  1. Nemocnice  [cs]  ")
    assert first.endswith("  cs-1")
    assert second == "     Nemocnice v Praze je otevřena."
    assert ended.err.startswith("3 hits in ")


def test_explain_shows_each_signal_and_what_answers_each_word(run: Command, index: Path) -> None:
    out = run("search", "nemocnice", "-i", index, "--explain", "-k", 1).out
    assert "meaning  dense     score" in out
    assert "words    lexical   score" in out
    assert "aligned  alignment score   1.0000" in out
    assert "answers  nemocnice: Nemocnice 1.00" in out
    assert "rank 1" in out
    record = json.loads(
        run("search", "nemocnice", "-i", index, "--explain", "--json").out.splitlines()[0]
    )
    assert record["answers"] == [{"word": "nemocnice", "answer": "Nemocnice", "similarity": 1.0}]


def test_json_is_a_hit_a_line(run: Command, index: Path) -> None:
    ended = run("search", "hospital", "-i", index, "--json", "-k", 2)
    records = [json.loads(line) for line in ended.out.splitlines()]
    assert [record["rank"] for record in records] == [1, 2]
    assert records[0]["id"] == "en-1"
    assert records[0]["url"] == "http://h"
    assert set(records[0]["parts"]) == {"dense", "lexical", "alignment"}
    assert "answers" not in records[0]
    assert ended.err == ""


def test_filters(run: Command, index: Path) -> None:
    def found(*options: str) -> list[str]:
        out = run("search", "hospital nemocnice", "-i", index, "--json", *options).out
        return sorted(json.loads(line)["id"] for line in out.splitlines())

    assert found("--lang", "cs") == ["cs-1"]
    assert found("--lang", "cs", "--lang", "en") == ["cs-1", "en-1", "evil"]
    assert found("--field", "kind=place") == ["cs-1"]
    assert found("--field", "kind=animal") == []


def test_nothing_found_is_said(run: Command, index: Path) -> None:
    ended = run("search", "zzz", "-i", index, "--lang", "ja")
    assert (ended.code, ended.out) == (0, "Nothing found.\n")


def test_queries_of_a_file(run: Command, index: Path, tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("q1\tnemocnice\nhospital\n")
    lines = run("search", "-i", index, "--queries", tmp_path / "q.tsv", "-k", 1).out.splitlines()
    assert [line.split("\t")[:3] for line in lines] == [["q1", "1", "cs-1"], ["2", "1", "en-1"]]


def test_queries_are_read_as_eval_reads_them(run: Command, index: Path, tmp_path: Path) -> None:
    lines = '{"_id": "a", "text": "nemocnice", "metadata": {}}\n{"_id": "b", "text": "hospital"}\n'
    (tmp_path / "queries.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    found = run("search", "-i", index, "--queries", tmp_path / "queries.jsonl.gz", "-k", 1)
    assert [line.split("\t")[:3] for line in found.out.splitlines()] == [
        ["a", "1", "cs-1"],
        ["b", "1", "en-1"],
    ]
    (tmp_path / "q.tsv").write_text("a\tnemocnice\tcs\nb\thospital\na\towl\n")
    twice = run("search", "-i", index, "--queries", tmp_path / "q.tsv")
    assert (twice.code, twice.out) == (1, "")
    assert twice.err == (
        f"Error: {tmp_path / 'q.tsv'}:3: the query id 'a' is used twice (first in line 1)\n"
    )
    (tmp_path / "q.tsv").write_text("a\t!?\nb\thospital\n")
    refused = run("search", "-i", index, "--queries", tmp_path / "q.tsv", "-k", 1)
    assert refused.code == 1
    assert refused.out.startswith("b\t1\ten-1\t")
    assert f"passed over: {tmp_path / 'q.tsv'}:1: the query '!?' has no word" in refused.err


def test_queries_may_come_from_a_named_pipe(run: Command, index: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"  # as of `--queries <(cut -f2 log.tsv)`
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("hospital\n",))
    writer.start()
    assert run("search", "-i", index, "--queries", pipe, "-k", 1).out.startswith("1\t1\ten-1\t")
    writer.join()


def test_a_reader_that_goes_away_is_no_failure(index: Path) -> None:
    command = [sys.executable, "-m", "tandem", "search", "-i", str(index), "--queries", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.close()  # `| head` has read enough
        process.stdin.write(b"hospital\n" * 300)
        process.stdin.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_escape_sequences_of_a_document_do_not_reach_the_terminal(
    run: Command, index: Path, tmp_path: Path
) -> None:
    out = run("search", "owl alert", "-i", index).out
    (tmp_path / "q").write_text("owl\n")
    out += run("search", "-i", index, "--queries", tmp_path / "q", "-k", 1).out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert out.splitlines()[-1].count("\t") == 5


def test_analyze_shows_language_words_and_stems(run: Command) -> None:
    lines = run("analyze", "Nové počítače v nemocnici").out.splitlines()
    assert lines[0].startswith("language  cs (Czech); likely: Czech ")
    assert lines[1].split() == ["text", "as", "written", "stems"]
    assert lines[3].split()[:2] == ["počítače", "pocitace"]
    record = json.loads(run("analyze", "--lang", "de", "Häuser", "--json").out)
    assert record["lang"] == "de"
    assert record["words"] == [
        {"word": "Häuser", "words": ["hauser", "haeuser"], "stems": ["haus"]}
    ]


def test_documents_like_one_are_searched_in_place_of_a_query(run: Command, index: Path) -> None:
    ended = run("search", "--like", "cs-1", "-i", index)
    assert ended.out.splitlines()[0].startswith("  1. ") and ended.err.startswith("2 hits in ")
    assert "cs-1" not in ended.out
    lines = run("search", "--like", "cs-1", "-i", index, "--lang", "en", "--json").out.splitlines()
    records = [json.loads(line) for line in lines]
    assert {record["id"] for record in records} == {"en-1", "evil"}
    assert {record["like"] for record in records} == {"cs-1"}
    missing = run("search", "--like", "none", "-i", index)
    assert missing.code == 2 and "not in the index: 'none'" in missing.err
    assert "give a QUERY" in run("search", "owl", "--like", "cs-1", "-i", index).err
    assert "by meaning" in run("search", "--like", "cs-1", "--sort", "kind", "-i", index).err


def test_hits_are_written_as_a_table_or_as_a_run(run: Command, index: Path, tmp_path: Path) -> None:
    table = run("search", "nemocnice", "-i", index, "--format", "csv").out
    rows = list(csv.DictReader(table.lstrip("\ufeff").splitlines()))
    assert rows[0]["id"] == "cs-1" and rows[0]["kind"] == "place" and len(rows) == 3
    like = run("search", "--like", "cs-1", "-i", index, "--format", "csv").out
    assert "cs-1" not in [row["id"] for row in csv.DictReader(like.lstrip("\ufeff").splitlines())]
    queries = tmp_path / "queries.tsv"
    queries.write_text("q1\tnemocnice\nq2\towl\n")
    lines = run("search", "--queries", queries, "-i", index, "-k", 1, "--format", "trec").out
    cells = [line.split(" ") for line in lines.splitlines()]
    assert [(c[0], c[1], c[2], c[3], c[5]) for c in cells] == [
        ("q1", "Q0", "cs-1", "1", "tandem"), ("q2", "Q0", "evil", "1", "tandem")
    ]  # fmt: skip
    assert run("search", "owl", "-i", index, "--format", "trec").code == 2
    assert run("search", "--queries", queries, "-i", index, "--format", "csv").code == 2
    assert run("search", "owl", "-i", index, "--format", "csv", "--json").code == 2


def test_an_id_with_a_blank_is_no_part_of_a_run(run: Command, tmp_path: Path) -> None:
    build_index(
        tmp_path / "index", [Document("a b", "owl", "", "", "en")], HashEncoder(), model="hash"
    )
    (tmp_path / "queries.txt").write_text("owl\n")
    ended = run(
        "search",
        "--queries",
        tmp_path / "queries.txt",
        "-i",
        tmp_path / "index",
        "--format",
        "trec",
    )
    assert ended.code == 1 and "the id 'a b' has a blank" in ended.err


def test_no_color_holds_on_a_terminal(index: Path) -> None:
    def shown(**more: str) -> str:
        ours, theirs = pty.openpty()
        words = [sys.executable, "-m", "tandem", "search", "nemocnice", "-i", str(index)]
        with subprocess.Popen(
            words, stdout=theirs, stderr=subprocess.DEVNULL, env={**os.environ, **more}
        ) as process:
            os.close(theirs)
            parts = []
            try:
                while part := os.read(ours, 65536):
                    parts.append(part)
            except OSError:  # the other end is closed
                pass
            os.close(ours)
        assert process.returncode == 0
        return b"".join(parts).decode()

    assert "\x1b[" in shown(NO_COLOR="", TERM="xterm")
    assert "\x1b[" not in shown(NO_COLOR="1", TERM="xterm")


def test_control_c_ends_a_command_with_130(
    run: Command, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("retriever.search_index.open_index", interrupted)
    ended = run("search", "owl", "-i", index)
    assert ended.code == 130 and ended.err.endswith("Interrupted.\n")
