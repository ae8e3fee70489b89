"""`tandem index sync` of es://NAME, against a real Elasticsearch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Command, runner
from reading import write

import indexer.cluster_build
import indexer.cluster_sync
from configs.errors import IndexLocked
from configs.settings import ElasticsearchSettings, Settings, parse
from indexer.changes import FolderSync
from indexer.cluster_build import delete_from_cluster
from indexer.cluster_sync import ClusterTarget
from indexer.cluster_verify import documents_in, verify_cluster

ALL = {"a.txt": "apples", "sub/b.md": "pears", "1": "one", "2": "two"}


class World:
    """A folder, and an index of it in a cluster."""

    def __init__(self, path: Path, address: str, url: str) -> None:
        self.folder, self.address = path / "notes", address
        self.cluster = ElasticsearchSettings(hosts=(url,), replicas=0)
        values = {"encoder": {"model": "hash"}, "elasticsearch": {"hosts": [url], "replicas": 0}}
        self.settings = parse(Settings, values, "test")
        self._clock = time.time_ns()
        self.write("a.txt", "apples")
        self.write("sub/b.md", "# Pears\n\npears")
        self.write("c.csv", "id,text\n1,one\n2,two\n")

    def write(self, name: str, content: str) -> None:
        file = write(self.folder / name, content)
        self._clock += 10**9
        os.utime(file, ns=(self._clock, self._clock))

    def sync(self) -> tuple[int, int, int]:
        """Files read, removed and passed over."""
        report = FolderSync(self.address, str(self.folder), self.settings).run().report
        return report.read, report.removed, report.unchanged

    @property
    def texts(self) -> dict[str, str]:
        return {one.id: one.text for one in documents_in(self.address, self.cluster)}


@pytest.fixture
def world(
    tmp_path: Path, elasticsearch_name: str, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    yield World(tmp_path, f"es://{elasticsearch_name}", elasticsearch_url)


def test_the_index_is_made_and_new_changed_and_removed_files_follow(world: World) -> None:
    assert world.sync() == (3, 0, 0)
    assert world.texts == ALL
    assert world.sync() == (0, 0, 3)
    world.write("d.txt", "plums")
    world.write("c.csv", "id,text\n1,one\n3,three\n")
    (world.folder / "a.txt").unlink()
    assert world.sync() == (2, 1, 1)
    assert world.texts == {"sub/b.md": "pears", "1": "one", "3": "three", "d.txt": "plums"}
    assert verify_cluster(world.address, world.cluster) == []


def test_documents_that_someone_deleted_come_back(world: World) -> None:
    world.sync()
    delete_from_cluster(world.address, ["1", "a.txt"], world.cluster)
    assert world.sync() == (2, 0, 1)
    assert world.texts == ALL


def test_after_a_kill_the_next_run_removes_what_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when all of it was written; then the file is gone that it was written from."""
    world.sync()

    class Killed(BaseException):
        pass

    real: Callable[..., Any] = indexer.cluster_build.add_to_cluster

    def killed(address: str, documents: Iterable[Any], *rest: Any, **options: Any) -> None:
        real(address, list(documents)[:1], *rest, **options)
        raise Killed

    world.write("e.txt", "quinces")
    with monkeypatch.context() as patched:
        patched.setattr(indexer.cluster_sync, "add_to_cluster", killed)
        with pytest.raises(Killed):
            world.sync()
    assert world.texts == {**ALL, "e.txt": "quinces"}
    (world.folder / "e.txt").unlink()
    assert world.sync() == (0, 1, 3)
    assert world.texts == ALL


def test_a_second_run_at_the_same_time_is_refused(world: World) -> None:
    target = ClusterTarget.open(world.address, world.cluster, None, {}, 0, "cpu")
    with target.alone(), pytest.raises(IndexLocked, match="another `index sync` is running"):
        world.sync()


def test_the_command_tells_what_it_did(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Command = runner(capsys)
    monkeypatch.setenv("TANDEM_ES_HOSTS", world.cluster.hosts[0])
    command = ["index", "sync", world.folder, "-i", world.address, "--encoder", "hash"]
    first = run(*command, "--set", "elasticsearch.replicas=0")
    assert "3 files read, 0 removed; documents: 4 added; 4 in all" in first.out
    assert run(*command).out == f"{world.address}: in step; 3 files as before\n"
