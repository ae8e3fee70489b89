"""A program that breaks off writers of index folders, and looks at what they leave.

    python kill_driver.py FOLDER PLAN

PLAN is JSON: a list of chains, each a list of steps {"op", "how", "at"}; the steps of a chain work on
one folder, one after another. Every step is a forked child: it ends by SIGKILL where `how` and `at` say,
and another child then checks that the folder holds the commit before or the one after, whole. Output is
a JSON line a step. Nothing here starts a thread before the last fork, so forking is safe.

    how "named"   killed when indexer.storage.commit.reached is first called with the point `at`
    how "point"   killed at the `at`-th call of indexer.storage.commit.reached
    how "call"    killed at the `at`-th operation on a file (Python's audit events)
    how "time"    killed after `at` seconds
    how "room"    not killed: no file may grow beyond `at` bytes, as on a full disk
    how "none"    left in peace: the job finishes
"""

from __future__ import annotations

import json
import mmap
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from index_world import DIM, SPLIT, by_id, documents, problems

import indexer.build
import indexer.prepare
import indexer.storage.commit
import indexer.storage.journal
from configs.errors import IndexFolderError, TandemError
from configs.settings import DenseSettings
from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.token_vectors import aligner, token_table
from indexer.schema import Document
from indexer.storage.manifest import MANIFEST, read_manifest

State = dict[str, Document] | None
"""The documents of a commit; None: no commit yet."""

BATCH = 8
_FILES = ("open", "os.", "shutil.", "sqlite3.")  # audit events of work on files
_progress = mmap.mmap(-1, 64)  # shared with the children: the point last reached


class Job:
    """One writer's work, and the documents of the index when it is done."""

    def __init__(self, op: str, state: State, rng: random.Random) -> None:
        self.op = op if state is not None else "build"
        old = list(state or {})
        self.items: list[Document] = []
        self.ids: list[str] = []
        self.after: dict[str, Document] = dict(state or {})
        if self.op == "build":
            self.items = documents(rng.sample(range(100), 40), rng.randrange(1000))
            self.after = by_id(self.items)
        elif self.op == "add":
            numbers = [int(id_[1:]) for id_ in rng.sample(old, min(len(old), 8))]
            self.items = documents([*numbers, *range(100, 112)], rng.randrange(1000))
            self.items += [state[id_] for id_ in old[:4] if state and id_ not in by_id(self.items)]
            self.after |= by_id(self.items)
        elif self.op == "delete":
            self.ids = rng.sample(old, len(old) // 4)
            self.after = {id_: item for id_, item in self.after.items() if id_ not in self.ids}

    def run(self, path: Path) -> None:
        encoder = HashEncoder(DIM)
        if self.op == "build":
            indexer.build.build_index(
                path, self.items, encoder, passages=SPLIT, dense=DenseSettings(factory="HNSW8"),
                overwrite=True, device="cpu",
            )  # fmt: skip
        elif self.op == "add":
            indexer.build.add_documents(path, self.items, encoder, device="cpu")
        elif self.op == "delete":
            indexer.build.delete_documents(path, self.ids, encoder)
        else:
            indexer.build.compact(path, device="cpu")


def _hook(how: str, at: float | str) -> None:
    """Arrange for this process to be killed."""
    calls = 0
    number = int(at) if how != "named" else 0

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def reached(point: str) -> None:
        _progress[:64] = point.encode().ljust(64, b"\0")
        if how == "point":
            count()
        elif how == "named" and point == at:
            os.kill(os.getpid(), signal.SIGKILL)

    indexer.storage.commit.reached = reached
    if how == "call":
        sys.addaudithook(lambda event, _: count() if event.startswith(_FILES) else None)
    if how == "room":
        resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))


def _child(work: Callable[[], str]) -> tuple[int, int]:
    """(process id, where its answer is read from) of a child that does `work`."""
    out, into = os.pipe()
    pid = os.fork()
    if pid:
        os.close(into)
        return pid, out
    os.close(out)
    try:
        answer = work()
    except BaseException as error:
        answer = f"{type(error).__name__}: {error}"
    os.write(into, answer.encode()[:60_000])
    os._exit(0)


def _answer(pid: int, out: int) -> tuple[str, bool]:
    """What a child said, and whether it was killed."""
    with os.fdopen(out, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    return said, os.WIFSIGNALED(status)


def _write(path: Path, job: Job, how: str, at: float | str) -> tuple[str, bool]:
    def work() -> str:
        _hook(how, at)
        try:
            job.run(path)
        except IndexFolderError as error:
            return f"refused: {error}"
        return "done"

    pid, out = _child(work)
    if how == "time":
        time.sleep(float(at))
        os.kill(pid, signal.SIGKILL)
    return _answer(pid, out)


def _look(path: Path, before: State, after: dict[str, Document], generation: int) -> str:
    """ "before" or "after": the commit that the folder holds; anything else is what is wrong with it."""
    if not (path / MANIFEST).exists():
        return "before" if before is None else "the index is gone"
    moved = read_manifest(path).generation != generation
    found = problems(path, after if moved or before is None else before)
    return "; ".join(found) or ("after" if moved else "before")


def _checked(path: Path, before: State, after: dict[str, Document], generation: int) -> str:
    return _answer(*_child(lambda: _look(path, before, after, generation)))[0]


def _generation(path: Path) -> int:
    return read_manifest(path).generation if (path / MANIFEST).exists() else 0


def _leftovers(path: Path, op: str) -> list[str]:
    """What a finished job should have removed; an interrupted add keeps its journal beside others."""
    named = {name.split("/")[0] for name in read_manifest(path).files}
    kept = {MANIFEST, "lock"} | ({"journal"} if op in ("delete", "compact") else set())
    return sorted({entry.name for entry in path.iterdir()} - named - kept)


def _chain(path: Path, steps: list[dict[str, Any]], seed: int) -> None:
    rng = random.Random(seed)
    state: State = None
    for number, step in enumerate(steps):
        job = Job(step["op"], state, rng)
        _progress[:64] = bytes(64)
        generation = _generation(path)
        start = time.perf_counter()
        said, killed = _write(path, job, step["how"], step["at"])
        record = {
            "op": job.op, "how": step["how"], "at": step["at"], "killed": killed, "said": said,
            "last": _progress[:64].rstrip(b"\0").decode(), "seconds": time.perf_counter() - start,
            "seed": seed, "step": number,
        }  # fmt: skip
        held = _checked(path, state, job.after, generation)
        record["held"] = held
        if held == "before" and (step.get("again", True)):
            # The job finishes when it is run again.
            record["again"] = _write(path, job, "none", 0)[0]
            record["then"] = held = _checked(path, state, job.after, generation)
            record["leftovers"] = _leftovers(path, job.op) if held == "after" else []
        print(json.dumps(record), flush=True)
        if held not in ("before", "after"):
            return
        if held == "after":
            state = job.after


def main(folder: Path, plan: list[dict[str, Any]]) -> None:
    from indexer.threads import faiss

    faiss()  # imported once for all children; it starts no thread before it searches
    student = aligner()
    if student is not None:  # loaded once for all children, with its tokenizer
        token_table()
        student.vocabulary()
    indexer.prepare.BATCH = indexer.storage.journal.BATCH = BATCH
    for number, chain in enumerate(plan):
        _chain(folder / str(number), chain["steps"], chain["seed"])


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text("utf-8")))
    except TandemError as error:
        sys.exit(str(error))
