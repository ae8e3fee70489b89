"""`tandem index sync`: an index in step with a folder of files."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import Command, runner
from index_world import CountingEncoder, contents
from reading import write

import indexer.build
from configs.errors import DocumentError
from indexer.build import build_index, delete_documents
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document
from indexer.storage.manifest import read_manifest
from indexer.sync import SyncReport, sync_folder
from indexer.text.rejects import Reject
from indexer.text.sources import ReadOptions


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


class World:
    """A folder, an index of it, and what the last run set aside."""

    def __init__(self, path: Path) -> None:
        self.folder, self.index = path / "notes", path / "ix"
        self.encoder = CountingEncoder()
        self.rejects: list[str] = []
        self._clock = time.time_ns()
        self.write("a.txt", "apples")
        self.write("sub/b.md", "# Pears\n\npears")
        self.write("c.csv", "id,text\n1,one\n2,two\n")
        build_index(self.index, [Document("other", "from elsewhere")], self.encoder)

    def write(self, name: str, content: str) -> None:
        """Each writing is a second later than the one before: no clock of a disk is as coarse."""
        file = write(self.folder / name, content)
        self._clock += 10**9
        os.utime(file, ns=(self._clock, self._clock))

    def sync(self, allow_empty: bool = False) -> SyncReport:
        rejects: list[Reject] = []
        report = sync_folder(
            self.index,
            str(self.folder),
            self.encoder,
            allow_empty=allow_empty,
            on_reject=rejects.append,
        )
        self.rejects = [f"{Path(r.place).name}: {r.reason}" for r in rejects]
        return report

    @property
    def texts(self) -> dict[str, str]:
        return {id_: document.text for id_, document in contents(self.index).items()}


ALL = {"other": "from elsewhere", "a.txt": "apples", "sub/b.md": "pears", "1": "one", "2": "two"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    assert (world.sync().read, world.texts) == (3, ALL)
    return world


def test_new_changed_and_removed_files_follow_in_one_commit(world: World) -> None:
    before = read_manifest(world.index).generation
    (world.folder / "a.txt").unlink()
    world.write("d.txt", "plums")
    world.write("c.csv", "id,text\n2,two\n3,three\n")
    report = world.sync()
    assert (report.read, report.removed, report.unchanged) == (2, 1, 1)
    assert world.texts == {
        "other": "from elsewhere", "sub/b.md": "pears", "d.txt": "plums", "2": "two", "3": "three",
    }  # fmt: skip
    assert read_manifest(world.index).generation == before + 1


def test_where_nothing_changed_nothing_is_read_and_no_commit_made(world: World) -> None:
    world.encoder.calls.clear()
    before = read_manifest(world.index).generation
    report = world.sync()
    assert (report.read, report.removed, report.unchanged, report.commit) == (0, 0, 3, None)
    assert read_manifest(world.index).generation == before
    world.write("a.txt", "apples")  # written again, with the same words
    assert world.sync().read == 1
    assert world.encoder.texts == 0


def test_a_file_that_moves_keeps_its_document_under_the_new_name(world: World) -> None:
    (world.folder / "a.txt").rename(world.folder / "sub" / "z.txt")
    world.sync()
    assert set(world.texts) == {"other", "sub/b.md", "1", "2", "sub/z.txt"}


def test_an_id_of_two_files_is_kept_by_one_and_passes_to_the_other(world: World) -> None:
    world.write("d.csv", "id,text\n1,another one\n9,nine\n")
    world.sync()
    assert world.texts["1"] == "one"
    told = "d.csv:2: the id '1' is that of a document of c.csv, which is kept"
    assert world.rejects == [told]
    world.sync()
    assert world.rejects == [told]  # it is still so
    world.write("c.csv", "id,text\n2,two\n")
    world.sync()
    assert (world.texts["1"], world.rejects) == ("another one", [])
    (world.folder / "d.csv").unlink()
    world.sync()
    assert set(world.texts) == {"other", "sub/b.md", "a.txt", "2"}


def test_what_cannot_be_read_is_told_every_time_until_it_is_mended(world: World) -> None:
    world.write("bad.jsonl", 'no json\n{"id": "good", "text": "x"}\n')
    for _ in range(2):
        world.sync()
        assert [line.partition(": Expecting")[0] for line in world.rejects] == [
            "bad.jsonl:1: no JSON"
        ]
        assert world.texts["good"] == "x"
    world.write("bad.jsonl", '{"id": "good", "text": "x"}\n')
    world.sync()
    assert world.rejects == []


def test_documents_that_someone_deleted_come_back(world: World) -> None:
    delete_documents(world.index, ["2", "a.txt"], world.encoder)
    assert world.sync().read == 2
    assert world.texts == ALL
    build_index(world.index, [Document("new", "new")], world.encoder, overwrite=True)
    assert world.sync().read == 3
    assert world.texts == {**{k: v for k, v in ALL.items() if k != "other"}, "new": "new"}


def test_other_options_read_every_file_again(world: World) -> None:
    sync_folder(
        world.index, str(world.folder), world.encoder,
        options=ReadOptions(ignore=("*.csv",)), on_reject=lambda reject: None,
    )  # fmt: skip
    assert set(world.texts) == {"other", "a.txt", "sub/b.md"}


def test_an_empty_folder_removes_nothing_unless_told(world: World) -> None:
    for name in ("a.txt", "c.csv", "sub/b.md"):
        (world.folder / name).unlink()
    with pytest.raises(DocumentError, match=r"holds no file now, but 3 were there.*--allow-empty"):
        world.sync()
    assert world.texts == ALL
    world.sync(allow_empty=True)
    assert set(world.texts) == {"other"}


def test_two_folders_share_an_index(world: World, tmp_path: Path) -> None:
    write(tmp_path / "more/m.txt", "more")
    sync_folder(world.index, str(tmp_path / "more"), world.encoder, on_reject=lambda reject: None)
    assert world.texts == {**ALL, "m.txt": "more"}
    assert world.sync().commit is None
    assert world.texts == {**ALL, "m.txt": "more"}


@pytest.mark.parametrize("committed", [False, True])
def test_after_a_kill_the_next_run_removes_what_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """Killed before or after the index's commit; then the file loses the row that it had won."""

    class Killed(BaseException):
        pass

    real = indexer.build.add_documents

    def killed(*arguments: object, **options: object) -> object:
        if committed:
            real(*arguments, **options)  # type: ignore[arg-type]
        else:
            list(arguments[1])  # type: ignore[call-overload]
        raise Killed

    world.write("c.csv", "id,text\n1,one\n7,seven\n")
    with monkeypatch.context() as patched, contextlib.suppress(Killed):
        patched.setattr("indexer.sync.add_documents", killed)
        world.sync()
    assert ("7" in world.texts) == committed
    world.write("c.csv", "id,text\n1,one\n2,two\n")
    world.sync()
    assert world.texts == ALL


def test_a_second_run_at_the_same_time_is_refused(world: World) -> None:
    other = sqlite3.connect(world.index / "sync.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    world.write("d.txt", "plums")
    with pytest.raises(Exception, match="another `index sync` is running"):
        world.sync()
    other.close()
    world.sync()
    assert world.texts == {**ALL, "d.txt": "plums"}


def test_the_command_makes_the_index_and_tells_what_it_did(run: Command, tmp_path: Path) -> None:
    folder, index = tmp_path / "notes", tmp_path / "ix"
    write(folder / "a.txt", "apples")
    write(folder / "p.png", "x")
    command = ["index", "sync", folder, "-i", index, "--encoder", "hash"]
    ended = run(*command)
    assert ended.code == 1
    assert ended.out == f"{index}: 1 file read, 0 removed; documents: 1 added; 1 in all\n"
    assert "set aside: 1 .png" in ended.err
    (folder / "p.png").unlink()
    assert run(*command).out == f"{index}: in step; 1 file as before\n"
    write(folder / "b.txt", "pears")
    (folder / "a.txt").unlink()
    record = json.loads(run(*command, "--json").out)
    assert record["files"] == {"read": 1, "removed": 1, "unread": 0}
    assert (record["added"], record["deleted"], record["documents"]) == (1, 1, 1)
    assert run("index", "verify", index).code == 0
    found = run("search", "apples", "-i", index, "--mode", "lexical")
    assert found.out == "Nothing found.\n"
    assert run("index", "sync", tmp_path / "nowhere", "-i", index).code == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a signal")
def test_watch_follows_until_it_is_stopped(tmp_path: Path) -> None:
    folder, index = tmp_path / "notes", tmp_path / "ix"
    write(folder / "a.txt", "apples")
    arguments = ["index", "sync", str(folder), "-i", str(index), "--encoder", "hash"]
    with subprocess.Popen(
        [sys.executable, "-m", "tandem", *arguments, "--watch", "--every", "0.2", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None

        def told() -> dict[str, object]:
            assert process.stdout is not None
            record: dict[str, object] = json.loads(process.stdout.readline())
            return record

        assert told()["added"] == 1
        write(folder / "b.txt", "pears")
        assert told()["added"] == 1
        (folder / "a.txt").unlink()
        assert told()["deleted"] == 1
        process.send_signal(signal.SIGINT)
        complaint = process.stderr.read()
        assert process.wait(30) != 0
    assert "Traceback" not in complaint
    assert set(contents_of(index)) == {"b.txt"}


def contents_of(index: Path) -> list[str]:
    from indexer.folder import IndexFolder

    with contextlib.closing(IndexFolder.open(index, HashEncoder(), "cpu")) as folder:
        return list(folder.document_ids())
