"""Whatever ends a writer, the index holds one commit, whole, and the job finishes when it is run again."""

from __future__ import annotations

import collections
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from index_world import build, by_id, contents, documents, problems

from configs.errors import IndexFolderError
from indexer.build import add_documents, build_index, compact, delete_documents
from indexer.encoders.hash_encoder import HashEncoder

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")

DRIVER = Path(__file__).parent / "kill_driver.py"
POINTS = [
    "batch read", "batch prepared", "batch encoded", "batch rewritten", "segment written",
    "segments merged", "lexical committed", "dense written", "files synced", "manifest written",
    "manifest renamed", "old files removed",
]  # fmt: skip
OPS = ["build", "add", "delete", "compact"]

Record = dict[str, Any]


def drive(folder: Path, plan: list[Record]) -> list[Record]:
    file = folder / "plan.json"
    file.write_text(json.dumps(plan), "utf-8")
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(folder), str(file)],
        capture_output=True, text=True, env={**os.environ, **one},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(records: list[Record], plan: list[Record]) -> None:
    for record in records:
        assert record["held"] in ("before", "after"), record
        if "again" in record:
            assert record["again"] == "done", record
            assert record["then"] == "after", record
            assert record["leftovers"] == [], record
    assert len(records) == sum(len(chain["steps"]) for chain in plan)


def chain(seed: int, *steps: tuple[str, str, float | str]) -> Record:
    return {"seed": seed, "steps": [{"op": o, "how": h, "at": a} for o, h, a in steps]}


def test_a_kill_at_each_step_of_a_commit_leaves_one_whole_commit(tmp_path: Path) -> None:
    plan = [
        chain(
            1,
            ("build", "named", "batch encoded"),
            ("add", "named", "segments merged"),
            ("compact", "named", "batch rewritten"),
            ("delete", "named", "lexical committed"),
            ("add", "call", 40),
        ),
        chain(
            2,
            ("build", "named", "manifest renamed"),
            # The journal of that build is still there, and must not be built upon.
            ("add", "named", "batch encoded"),
            ("delete", "named", "files synced"),
            ("compact", "named", "old files removed"),
        ),
        chain(
            3,
            ("build", "named", "dense written"),
            ("add", "named", "batch read"),
            ("add", "named", "manifest written"),
            ("compact", "named", "segment written"),
            ("build", "named", "batch prepared"),
        ),
    ]
    records = drive(tmp_path, plan)
    check(records, plan)
    assert all(record["killed"] for record in records), records
    assert {record["last"] for record in records} >= set(POINTS)


def test_a_disk_without_room_is_said_and_loses_nothing(tmp_path: Path) -> None:
    # `at` is how large a file may grow: journal, SQLite, tantivy, FAISS and manifest fail in turn
    plan = [
        chain(4, *(("build", "room", at) for at in (100, 5_000))),
        chain(
            5, ("build", "none", 0), *((op, "room", at) for op in OPS for at in (300, 2_000, 9_000))
        ),
    ]
    records = drive(tmp_path, plan)
    check(records, plan)
    refused = [record for record in records if record["said"].startswith("refused")]
    assert len(refused) >= 8
    for record in refused:
        assert record["held"] == "before", record
        assert "could not be written" in record["said"], record
    for record in records:
        assert record["said"].startswith(("refused", "done")), record


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(4))
def test_kills_at_random_moments(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    plan = []
    for number in range(13):
        steps: list[tuple[str, str, float | str]] = []
        for place in range(6):
            op = "build" if place == 0 else rng.choice(OPS)
            most = {"build": 24, "add": 18, "delete": 8, "compact": 12}[op]
            how = rng.choice(["point", "point", "call", "time"])
            at = {
                "point": rng.randint(1, most),
                "call": rng.randint(1, 90),
                "time": rng.uniform(0, 0.4),
            }[how]
            steps.append((op, how, at))
        plan.append(chain(1000 * seed + number, *steps))
        # Half of the killed jobs are not run again: another one follows upon what they left.
        for step in plan[-1]["steps"][1:]:
            step["again"] = rng.random() < 0.5
    records = drive(tmp_path, plan)
    check(records, plan)
    killed = [record for record in records if record["killed"]]
    print(f"{len(killed)} kills:", collections.Counter(record["last"] for record in killed))
    assert len(killed) >= 50
    assert {record["op"] for record in killed} == set(OPS)
    assert len({record["last"] for record in killed}) >= 10


# -- file systems that are full or read-only -------------------------------------------------------


def mount(*arguments: str) -> None:
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_file_system_keeps_the_last_commit_and_the_job_finishes_with_room(
    disk: Path,
) -> None:
    path = disk / "index"
    items = documents(range(20))
    build(path, items)
    more = documents(range(100, 1100))
    with pytest.raises(IndexFolderError, match="could not be written"):
        add_documents(path, more, HashEncoder(16))
    assert problems(path, by_id(items)) == []
    mount("-o", "remount,size=32m", str(disk))
    add_documents(path, more, HashEncoder(16))
    assert problems(path, by_id([*items, *more])) == []


def test_an_index_on_a_read_only_file_system_is_searched_and_refuses_every_change(
    disk: Path,
) -> None:
    path = disk / "index"
    items = documents(range(10))
    build(path, items)
    mount("-o", "remount,ro", str(disk))
    assert problems(path, by_id(items)) == []
    writers: list[Callable[[], object]] = [
        lambda: add_documents(path, documents([50]), HashEncoder(16)),
        lambda: delete_documents(path, ["d1"]),
        lambda: compact(path),
        lambda: build_index(disk / "new", items, HashEncoder(16)),
    ]
    for writer in writers:
        with pytest.raises(IndexFolderError, match="cannot be written"):
            writer()
    assert contents(path) == by_id(items)
