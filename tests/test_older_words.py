"""An index whose words were made by older rules: it opens, answers, says so, and `compact` brings it up to date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command, runner
from index_world import SPLIT, CountingEncoder, documents

from indexer import build
from indexer.folder import IndexFolder
from indexer.storage.manifest import MANIFEST, checksum, read_manifest
from indexer.text.analysis import ANALYSIS


def rewritten(path: Path, **changes: object) -> None:
    """The manifest with these values, and its checksum; None takes a value out."""
    file = path / MANIFEST
    values = {**json.loads(file.read_text("utf-8")), **changes}
    values.pop("checksum")
    values = {name: value for name, value in values.items() if value is not None}
    file.write_text(json.dumps({**values, "checksum": checksum(values)}), "utf-8")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """As it was before manifests said anything of it."""
    path = tmp_path / "i"
    build.build_index(path, documents(range(4)), CountingEncoder(), passages=SPLIT)
    assert read_manifest(path).analysis == ANALYSIS
    rewritten(path, analysis=None)
    assert read_manifest(path).analysis == 1
    return path


def test_it_opens_and_says_what_to_do(old: Path) -> None:
    note = IndexFolder.open(old, CountingEncoder()).facts.note
    assert f"tandem index compact {old}" in note


def test_compact_brings_it_up_to_date_and_encodes_nothing(old: Path) -> None:
    build.compact(old)
    assert read_manifest(old).analysis == ANALYSIS
    assert IndexFolder.open(old, CountingEncoder()).facts.note == ""


def test_adding_to_it_does_not_make_its_old_words_new(old: Path) -> None:
    build.add_documents(old, documents(range(9, 11)), CountingEncoder())
    assert read_manifest(old).analysis == 1


def test_one_of_a_newer_version_says_so(old: Path) -> None:
    rewritten(old, analysis=ANALYSIS + 1)
    assert "newer Tandem" in IndexFolder.open(old, CountingEncoder()).facts.note


def test_info_and_search_tell(run: Command, tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("the ferry leaves at noon", "utf-8")
    assert run("index", "build", source, "-o", tmp_path / "i").code == 0
    assert "compact" not in run("index", "info", tmp_path / "i").out
    assert "older" not in run("search", "ferry", "-i", tmp_path / "i").err
    rewritten(tmp_path / "i", analysis=1)
    assert "tandem index compact" in run("index", "info", tmp_path / "i").out
    found = run("search", "ferry", "-i", tmp_path / "i")
    assert "tandem index compact" in found.err
    assert "ferry" in found.out
