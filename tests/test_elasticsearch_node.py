"""Elasticsearch nodes for the tests and the demo: fetched builds, the right Java, and an end for certain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from configs.errors import BackendError
from demo import elasticsearch_node
from demo.elasticsearch_node import Node, java_for, missing


def java(folder: Path, number: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{number}"\n')
    return folder


def test_the_oldest_java_that_runs_a_version_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = [java(tmp_path / "new", "25.0.3"), java(tmp_path / "old", "17.0.15")]
    monkeypatch.setattr(elasticsearch_node, "_java_homes", lambda: iter(homes))
    assert java_for("8.19.0") == tmp_path / "old"
    assert java_for("9.1.0") == tmp_path / "new"


def test_what_is_missing_is_said_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_ELASTICSEARCH_HOME", str(tmp_path))
    assert missing("9.1.0") == "Elasticsearch 9.1.0 is not here: run `make elasticsearch`"
    program = tmp_path / "elasticsearch-9.1.0" / "bin" / "elasticsearch"
    program.parent.mkdir(parents=True)
    program.touch()
    homes = [java(tmp_path / "old", "17.0.15")]
    monkeypatch.setattr(elasticsearch_node, "_java_homes", lambda: iter(homes))
    assert (missing("9.1.0") or "").startswith("no Java 21 or later")


def test_without_maven_the_command_says_so(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": "", "TANDEM_ELASTICSEARCH_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "demo.elasticsearch_node", "8.19.0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no mvn on the PATH; install the package maven" in done.stderr


def test_a_version_that_is_there_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_ELASTICSEARCH_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")  # no Maven to fetch it again
    program = tmp_path / "elasticsearch-8.19.0" / "bin" / "elasticsearch"
    program.parent.mkdir(parents=True)
    program.write_text("kept")
    assert elasticsearch_node.fetch("8.19.0") == tmp_path / "elasticsearch-8.19.0"
    assert program.read_text() == "kept"


def test_the_server_answers_with_its_version(elasticsearch_url: str) -> None:
    with urllib.request.urlopen(f"{elasticsearch_url}/_nodes/_local", timeout=30) as answer:
        (node,) = json.load(answer)["nodes"].values()
    assert int(node["version"].split(".")[0]) >= 8


def unless_here(version: str) -> None:
    if (reason := missing(version)) is not None:
        pytest.skip(reason)


def group(leader: int) -> list[str]:
    """The processes of the session that a node's launcher leads."""
    found = subprocess.run(["pgrep", "-g", str(leader)], capture_output=True, text=True)
    return found.stdout.split()


@pytest.mark.stress
def test_a_node_that_cannot_start_says_why_and_leaves_nothing_running() -> None:
    unless_here("8.19.0")
    wrong = {"no.such.setting": True}
    with (
        pytest.raises(BackendError, match="unknown setting"),
        elasticsearch_node.running("8.19.0", heap_mb=512, settings=wrong, short_lived=True),
    ):
        raise AssertionError("it started")


@pytest.mark.stress
@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process of its parent's death")
def test_a_node_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    unless_here("8.19.0")
    code = (
        "import time; from demo.elasticsearch_node import running\n"
        "with running('8.19.0', heap_mb=512, short_lived=True) as node:\n"
        "    print(node.pid, node.folder, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    leader, folder = owner.stdout.readline().split()
    assert group(int(leader))
    owner.kill()
    owner.wait()
    owner.stdout.close()
    end = time.monotonic() + 30
    while group(int(leader)) and time.monotonic() < end:
        time.sleep(0.2)
    assert group(int(leader)) == []
    subprocess.run(["rm", "-rf", str(Path(folder).parent)], check=True)


def test_a_node_that_was_never_started_stops_without_a_word(tmp_path: Path) -> None:
    node = Node("8.19.0", tmp_path)
    node.stop()
    node.kill()
    assert list(tmp_path.iterdir()) == []
