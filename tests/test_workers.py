"""A build by worker processes: the same index, and no more lost by a kill than one batch."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import indexer.prepare
import indexer.storage.commit
import indexer.storage.journal
from configs.settings import PassageSettings
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.local_models import FAST
from indexer.encoders.static_encoder import StaticEncoder
from indexer.folder import IndexFolder
from indexer.prepare import Hashed, Task, divided, in_workers
from indexer.schema import Document
from indexer.verify import verify

pytestmark = pytest.mark.skipif(not FAST.is_dir(), reason="no student in this checkout")

BATCH = 30
WORDS = "nemocnice škola hospital school 病院 больница und der Zug [UNK] \u2581x 😀 naïve x2 a.b".split()


def documents(count: int) -> list[Document]:
    """Titles, languages and lengths of every kind; some texts that only the tokenizer can cut."""
    made = []
    for n in range(count):
        words = [WORDS[(n * 7 + i * i) % len(WORDS)] + str(n % 13) for i in range(3 + n % 40)]
        text = " ".join(words) + "."
        if n % 25 == 0:
            text = " ".join([text] * 30)
        made.append(Document(f"d{n}", text, f"Title {n}" if n % 3 else "", lang=("", "cs")[n % 2]))
    return made


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer.prepare, "BATCH", BATCH)
    monkeypatch.setattr(indexer.prepare, "_WORTH_WORKERS", 4 * BATCH)
    monkeypatch.setattr(indexer.storage.journal, "BATCH", BATCH)


def rows(path: Path) -> tuple[list[Document], np.ndarray, list[tuple[int, int, int]]]:
    folder = IndexFolder.open(path, StaticEncoder.load(FAST), "cpu")
    found = [document for document, *_ in folder.store.live()]
    vectors = folder.store.take(np.arange(len(folder.store)))
    passages = [(int(p["document"]), int(p["start"]), int(p["end"])) for p in folder.store.passages]
    folder.close()
    return found, vectors, passages


def test_workers_make_the_same_index(tmp_path: Path) -> None:
    items = documents(300)
    alone = build_index(tmp_path / "alone", items, StaticEncoder.load(FAST))
    shared = build_index(tmp_path / "shared", items, StaticEncoder.load(FAST), workers=2)
    assert shared.passages == shared.encoded == alone.passages
    assert verify(tmp_path / "shared") == []
    first, second = rows(tmp_path / "alone"), rows(tmp_path / "shared")
    assert first[0] == second[0] and first[2] == second[2]
    assert (first[1] == second[1]).all()


def test_a_build_with_workers_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = documents(300)
    seen = 0

    def reached(point: str) -> None:
        nonlocal seen
        seen += point == "batch encoded"
        if seen == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(indexer.storage.commit, "reached", reached)
    with pytest.raises(KeyboardInterrupt):
        build_index(tmp_path / "a", items, StaticEncoder.load(FAST), workers=2)
    monkeypatch.setattr(indexer.storage.commit, "reached", lambda point: None)
    kept = (tmp_path / "a/journal/vectors.f32").stat().st_size // (4 * 256)
    assert kept > 60
    report = build_index(tmp_path / "a", items, StaticEncoder.load(FAST), workers=2)
    assert report.encoded == report.passages - kept
    build_index(tmp_path / "b", items, StaticEncoder.load(FAST))
    assert (rows(tmp_path / "a")[1] == rows(tmp_path / "b")[1]).all()


def test_what_is_under_way_is_never_more_than_a_batch() -> None:
    task = indexer.prepare.task_of(PassageSettings(), StaticEncoder.load(FAST), 2)
    assert task.model == FAST and task.passages == BATCH // 3
    begun = 0

    def batches() -> Iterator[list[Hashed]]:
        nonlocal begun
        for few in divided(iter([[(document, b"") for document in documents(200)]]), task):
            begun += 1
            yield few

    for done, (few, prepared) in enumerate(in_workers(batches(), task, 2, lambda: True), 1):
        assert begun - done <= 2  # and the one at hand: three of a third of a batch
        if prepared.vectors is not None:
            assert len(prepared.vectors) <= task.passages
        assert len(prepared.langs) == len(few)


def test_an_encoder_that_was_replaced_meanwhile_is_not_used() -> None:
    settings = PassageSettings()
    task = indexer.prepare.task_of(settings, StaticEncoder.load(FAST), 1)
    other = dataclasses.replace(task, fingerprint="another")
    batches = [[(document, b"")] for document in documents(2)]
    for each, encoded in ((task, True), (other, False)):
        for _, prepared in in_workers(iter(batches), each, 1, lambda: True):
            assert (prepared.vectors is not None) == encoded


def test_documents_are_divided_by_their_passages() -> None:
    task = Task(size=100, overlap=0, passages=4)
    sizes = [50, 50, 350, 50, 50, 50, 900, 50]
    items = [(Document(str(n), "x" * size), b"") for n, size in enumerate(sizes)]
    divisions = [[int(d.id) for d, _ in few] for few in divided(iter([items[:3], items[3:]]), task)]
    assert divisions == [[0, 1], [2], [3, 4, 5], [6], [7]]


def test_what_a_transformer_reads_is_not_encoded_by_workers() -> None:
    settings = PassageSettings()
    assert indexer.prepare.task_of(settings, HashEncoder(16), 2).model is None
    assert indexer.prepare.task_of(settings, StaticEncoder.load(FAST), 0).model is None


def gone(process: int) -> bool:
    """Whether a process has ended; one whose parent has not asked for its exit code has."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize(
    ("whom", "point", "at"),
    [
        ("parent", "batch read", 5),  # the workers have begun, nothing is encoded
        ("parent", "batch encoded", 9),
        ("worker", "batch prepared", 1),
        ("worker", "batch encoded", 12),
    ],
)
def test_a_kill_while_workers_encode_leaves_nothing_running_and_is_resumed(
    tmp_path: Path, whom: str, point: str, at: int
) -> None:
    command = [sys.executable, str(Path(__file__).parent / "worker_driver.py"), str(tmp_path / "a")]
    done = subprocess.run([*command, whom, point, str(at)], capture_output=True, text=True)
    workers = json.loads(done.stdout.splitlines()[0])
    assert 1 <= len(workers) <= 2
    if whom == "parent":
        assert done.returncode == -signal.SIGKILL
    else:
        assert done.returncode == 1, done.stderr
        (line,) = done.stderr.strip().splitlines()
        assert "a worker process ended" in line and "run this again" in line
    until = time.monotonic() + 60
    while not all(map(gone, workers)):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert not (tmp_path / "a/manifest.json").exists()
    kept = (tmp_path / "a/journal/vectors.f32").stat().st_size // (4 * 256)
    assert kept >= (at - 1) * (BATCH // 3) * (point == "batch encoded") // 2
    items = documents(300)
    report = build_index(tmp_path / "a", items, StaticEncoder.load(FAST), workers=2)
    assert report.encoded >= report.passages - kept
    assert report.encoded < report.passages or kept == 0
    assert verify(tmp_path / "a") == []
    build_index(tmp_path / "b", items, StaticEncoder.load(FAST))
    first, second = rows(tmp_path / "a"), rows(tmp_path / "b")
    assert first[0] == second[0] and first[2] == second[2]
    assert (first[1] == second[1]).all()
