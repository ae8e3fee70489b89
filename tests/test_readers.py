"""Readers beside a writer, and writers beside each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from index_world import CountingEncoder, build, by_id, contents, document, documents, problems

import indexer.build
from configs.errors import IndexFolderError
from indexer.build import add_documents, compact, delete_documents
from indexer.folder import IndexFolder
from indexer.schema import Document
from indexer.storage.commit import locked
from indexer.storage.manifest import read_manifest
from retriever.retriever import Retriever

HERE = Path(__file__).parent

READER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from index_world import CountingEncoder
from retriever.retriever import Retriever

reader = Retriever.open(sys.argv[1], CountingEncoder(), device="cpu")
print("ready", flush=True)
moves = queries = 0
end = Path(sys.argv[1] + ".end")
while not end.exists() or moves == 0:
    moves += reader.refresh()
    for mode in ("lexical", "dense", "hybrid"):
        hits = reader.search("number1 part0", 3, mode)
        assert mode != "lexical" or hits[0].document.id == "d1", hits
        queries += 1
reader.refresh()
print(moves, queries, len(reader.collection), flush=True)
"""

HOLDER = """
import sys, time
from pathlib import Path
from indexer.storage.commit import locked

with locked(Path(sys.argv[1]), "index add"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def changes(path: Path, rounds: int) -> dict[str, Document]:
    """Add, replace, delete and compact, several times over; `d1` stays. The documents at the end."""
    state = contents(path)
    for n in range(rounds):
        batch = [*documents(range(10 * n + 100, 10 * n + 110)), document(2, version=n + 1)]
        add_documents(path, batch, CountingEncoder(), device="cpu")
        state |= by_id(batch)
        gone = [f"d{10 * n + 100}", f"d{10 * n + 101}"]
        delete_documents(path, gone)
        for id_ in gone:
            del state[id_]
        if n % 2:
            compact(path, device="cpu")
    return state


def search_under_changes(path: Path, rounds: int) -> None:
    build(path, documents(range(20)))
    other = start(READER, str(path), str(HERE))
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    shared = Retriever.open(path, CountingEncoder(), device="cpu")
    errors: list[BaseException] = []
    asked = [0] * 3
    done = threading.Event()

    def ask(place: int) -> None:
        try:
            while not done.is_set():
                # d1 never changes: it is found in every commit, and has its text
                for hit in shared.search("number1 part0", 5, "hybrid"):
                    assert hit.document.text
                    assert hit.passage.text in hit.document.text
                hits = shared.search("number1", 3, "lexical")
                assert [h.document.id for h in hits] == ["d1"], hits
                assert hits[0].document == document(1)
                found = shared.collection.documents(["d1", "d3", "d5"])
                assert found == by_id([document(1), document(3), document(5)])
                asked[place] += 1
                if place == 0:
                    shared.refresh()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(asked))]
    for thread in threads:
        thread.start()
    try:
        state = changes(path, rounds)
    finally:
        done.set()
        path.with_name(path.name + ".end").touch()
        for thread in threads:
            thread.join()
        said, complaint = other.communicate(timeout=300)
    assert errors == []
    assert min(asked) > 0
    assert complaint == ""
    moves, queries, size = map(int, said.split())
    assert moves >= 1
    assert queries >= 3
    assert size == len(state)
    shared.refresh()
    assert shared.collection.facts.generation == read_manifest(path).generation
    assert problems(path, state) == []


def test_searches_go_on_while_documents_change_and_the_index_is_compacted(tmp_path: Path) -> None:
    search_under_changes(tmp_path / "index", 4)


@pytest.mark.stress
def test_searches_go_on_through_many_commits(tmp_path: Path) -> None:
    search_under_changes(tmp_path / "index", 60)


def test_a_reader_stays_on_its_commit_until_it_moves(tmp_path: Path) -> None:
    build(tmp_path, documents(range(5)))
    reader = Retriever.open(tmp_path, CountingEncoder(), device="cpu")
    assert not reader.refresh()
    add_documents(tmp_path, documents([50]), CountingEncoder())
    delete_documents(tmp_path, ["d1"])
    compact(tmp_path)
    # The files of its commit are gone from the folder, and it still answers from them.
    assert [hit.document.id for hit in reader.search("number1", 3, "lexical")] == ["d1"]
    assert reader.search("number50", 3, "lexical") == []
    assert reader.collection.documents(["d1"]) == by_id([document(1)])
    assert reader.refresh()
    assert reader.search("number1", 3, "lexical") == []
    assert [hit.document.id for hit in reader.search("number50", 3, "lexical")] == ["d50"]
    assert not reader.refresh()


def test_a_reader_that_opens_between_a_commit_and_its_clearing_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, documents(range(5)))
    stale = read_manifest(tmp_path)
    add_documents(tmp_path, documents(range(5, 10)), CountingEncoder())
    answers: Iterator[object] = iter([stale])
    real = read_manifest
    monkeypatch.setattr(
        "indexer.folder.read_manifest", lambda path: next(answers, None) or real(path)
    )
    folder = IndexFolder.open(tmp_path, CountingEncoder(), "cpu")
    assert len(folder) == 10
    folder.close()


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "index"
    items = documents(range(5))
    build(path, items)
    holder = start(HOLDER, str(path))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        writers: list[Callable[[], object]] = [
            lambda: add_documents(path, documents([9]), CountingEncoder()),
            lambda: delete_documents(path, ["d1"]),
            lambda: compact(path),
            lambda: indexer.build.build_index(path, items, CountingEncoder(), overwrite=True),
        ]
        for write in writers:
            with pytest.raises(IndexFolderError) as refused:
                write()
            assert f"being written by process {holder.pid} of " in str(refused.value)
            assert "(index add, since " in str(refused.value)
        assert contents(path) == by_id(items)  # readers are let in
    finally:
        holder.communicate("\n")
    add_documents(path, documents([9]), CountingEncoder())
    assert problems(path, by_id([*items, document(9)])) == []


def test_a_second_writer_in_the_same_process_is_refused_too(tmp_path: Path) -> None:
    build(tmp_path, documents(range(3)))
    with (
        locked(tmp_path, "index compact"),
        pytest.raises(IndexFolderError, match=rf"process {os.getpid()} .*index compact"),
    ):
        delete_documents(tmp_path, ["d1"])
    assert delete_documents(tmp_path, ["d1"]).deleted == 1


def test_the_lock_of_a_dead_owner_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "index"
    build(path, documents(range(3)))
    holder = start(HOLDER, str(path))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate()
    assert json.loads((path / "lock.json").read_text("utf-8"))["pid"] == holder.pid
    assert delete_documents(path, ["d1"]).deleted == 1
    assert not (path / "lock.json").exists()


def test_workers_end_when_their_writer_is_killed(tmp_path: Path) -> None:
    program = """
import sys, os, signal, multiprocessing
import indexer.build as build
import indexer.prepare as prepare
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document

def documents():
    for n in range(100_000):
        if n == 6_000:
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        yield Document(f"d{n}", f"text {n}", lang="en")

if __name__ == "__main__":
    prepare.BATCH, prepare._WORTH_WORKERS = 64, 256
    build.build_index(sys.argv[1], documents(), HashEncoder(16), workers=2)
"""
    file = tmp_path / "program.py"
    file.write_text(program, "utf-8")
    done = subprocess.run(
        [sys.executable, str(file), str(tmp_path / "index")],
        capture_output=True,
        text=True,
        timeout=120,  # orphans would keep the pipe open
    )
    workers = [int(pid) for pid in done.stdout.split()]
    assert len(workers) == 2, done.stderr
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(map(alive, workers)):
        time.sleep(0.1)
    assert not any(map(alive, workers))


def alive(pid: int) -> bool:
    """Whether a process still runs; one that ended and waits to be collected does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
