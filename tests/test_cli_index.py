"""`tandem index ...` from the command line."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import Command, runner


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture
def index(run: Command, tmp_path: Path) -> Path:
    source = tmp_path / "a.jsonl"
    source.write_text(
        '{"id": "a", "text": "the hospital"}\n{"id": "b", "text": "nemocnice v Praze"}\n'
    )
    ended = run("index", "build", source, "-o", tmp_path / "my.index", "--encoder", "hash")
    assert ended.code == 0
    assert ended.out.startswith("2 documents added (2 passages) in ")
    assert "tandem search 'your query' -i" in ended.out
    assert ended.err == ""  # no progress bar where there is no terminal
    return tmp_path / "my.index"


def test_info_tells_what_an_index_holds(run: Command, index: Path) -> None:
    lines = run("index", "info", index).out.splitlines()
    told = {line.split()[0]: line[11:] for line in lines}
    assert (told["documents"], told["passages"]) == ("2", "2")
    assert told["languages"] in ("English 1, Czech 1", "Czech 1, English 1")
    assert told["encoder"].startswith("hash:256, 256 dimensions")
    record = json.loads(run("index", "info", index, "--json").out)
    assert record["documents"] == 2


def test_add_replaces_passes_over_and_reports(run: Command, index: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.jsonl"
    more.write_text(
        '{"id": "a", "text": "the hospital"}\n{"id": "b", "text": "changed"}\n{"id": "c", "text": "new"}\n'
    )
    report = json.loads(run("index", "add", more, "-i", index, "--json").out)
    assert [report[key] for key in ("added", "replaced", "unchanged")] == [1, 1, 1]
    assert (report["documents"], report["rejected"]) == (3, 0)


def test_standard_input(run: Command, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piped = io.BytesIO(b'{"id": "c", "text": "from a pipe"}\n')
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=piped))
    assert run("index", "add", "-", "-i", index).code == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\nc\n"))
    assert "2 documents deleted; 1 remain" in run("index", "delete", "-i", index, "-").out


def test_no_ids_on_standard_input_make_no_commit(
    run: Command, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    ended = run("index", "delete", "-i", index, "-")
    assert (ended.code, ended.err) == (
        1,
        "Error: no id on standard input; nothing was deleted\n",
    )
    assert json.loads(run("index", "info", index, "--json").out)["generation"] == 1


def test_delete_verify_and_compact(run: Command, index: Path) -> None:
    assert "1 document deleted; 1 remain" in run("index", "delete", "-i", index, "a").out
    assert run("index", "verify", index).out.strip().endswith("whole")
    assert run("index", "compact", index).code == 0
    assert json.loads(run("index", "info", index, "--json").out)["deleted"] == 0
    damaged = next(index.glob("segment-*/vectors.f32"))
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"\1\2\3\4")
    ended = run("index", "verify", index)
    assert ended.code == 1
    assert "vectors.f32" in ended.out
    assert "tandem index build --from" in ended.err


def test_overwrite_replaces_and_the_rejects_are_those_of_the_last_build(
    run: Command, index: Path, tmp_path: Path
) -> None:
    source = tmp_path / "b.jsonl"
    source.write_text('no json\n{"id": "z", "text": "only one"}\n')
    arguments = ["index", "build", source, "-o", index, "--encoder", "hash", "--overwrite"]
    assert run(*arguments).code == 1
    assert (index / "rejects.jsonl").exists()
    source.write_text('{"id": "z", "text": "only one"}\n')
    assert run(*arguments).code == 0
    assert not (index / "rejects.jsonl").exists()
    assert json.loads(run("index", "info", index, "--json").out)["documents"] == 1


def test_a_query_prompt_is_kept_with_the_index(run: Command, index: Path, tmp_path: Path) -> None:
    run("index", "build", tmp_path / "a.jsonl", "-o", tmp_path / "p", "--encoder", "hash",
        "--set", "encoder.query_prompt=query: ")  # fmt: skip
    assert (
        json.loads(run("index", "info", tmp_path / "p", "--json").out)["encoder"]["query_prompt"]
        == "query: "
    )
