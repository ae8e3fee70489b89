"""The first search on a machine: a person does not wait for dictionaries, a program gets the whole search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Command, runner

import retriever.cli
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document
from indexer.text import lemmas


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An index whose Irish dictionary is not on this machine, as after its folder was copied here."""
    documents = [Document("a", "Tá na capaill sa pháirc.", "Capaill", "", "ga")]
    build_index(tmp_path / "index", documents, HashEncoder(), model="hash")
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(lemmas, "_tables", {})
    yield tmp_path / "index"


def tables(tmp_path: Path) -> list[str]:
    return sorted(file.name for file in (tmp_path / "empty").glob("lemmas-*"))


def test_a_program_waits_for_the_dictionary(run: Command, index: Path, tmp_path: Path) -> None:
    ended = run("search", "páirceanna", "-i", index)
    assert ended.code == 0
    assert "Without the dictionaries" not in ended.err
    assert [name.split("-")[1] for name in tables(tmp_path)] == ["ga"]


def test_a_person_has_the_hits_first(
    run: Command, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retriever.cli, "_is_terminal", lambda: True)
    prepared: list[str] = []
    prepare = lemmas.prepare_dictionary

    def seen(lang: str) -> None:
        assert not tables(tmp_path)  # none was made for the hits
        prepared.append(lang)
        prepare(lang)

    monkeypatch.setattr("indexer.text.prepare_dictionary", seen)
    ended = run("search", "capall", "-i", index)
    assert (ended.code, prepared) == (0, ["ga"])
    assert "1 hit in" in ended.err.split("Without the dictionary of 1 language")[0]
    assert ended.err.rstrip().endswith("finds the other forms of its words.")
    again = run("search", "capall", "-i", index)
    assert "Without" not in again.err
    assert prepared == ["ga"]


def test_what_is_left_out_is_made_when_it_may_be_waited_for(index: Path, tmp_path: Path) -> None:
    with lemmas.without_waiting() as left:
        assert lemmas.lemmas(["capaill"], "ga") == [""]
        assert not lemmas.is_known("capaill", "ga")
        assert left == {"ga"}
    assert not tables(tmp_path)
    assert lemmas.lemmas(["capaill"], "ga") == ["capall"]
    with lemmas.without_waiting() as left:
        assert lemmas.lemmas(["capaill"], "ga") == ["capall"]
        assert left == set()
