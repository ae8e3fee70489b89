"""Percentiles, sizes, and the training-size curve's samples and commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from configs.errors import BackendError, ConfigError, DocumentError
from eval.sentences.curve import command, parse_sizes, sample, train
from eval.speed import encoding, latency, machine, search_latency, size, timed
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document, Mode
from retriever.retriever import Retriever


def test_percentiles_are_worked_out_in_milliseconds() -> None:
    found = latency([ms / 1000 for ms in range(1, 102)])  # 1 to 101 ms
    assert found.calls == 101
    assert found.slowest == pytest.approx(101)
    assert (found.p50, found.p90, found.p99) == pytest.approx((51, 91, 100))
    assert found.mean == pytest.approx(51)
    with pytest.raises(DocumentError, match="no query"):
        latency([])


def test_each_call_is_timed_and_all_texts_are_encoded() -> None:
    called: list[str] = []
    seconds = timed(called.append, ["a", "b"])
    assert called == ["a", "b"] and len(seconds) == 2 and min(seconds) >= 0
    found = encoding(HashEncoder(16), ["one", "two", "three"])
    assert found.texts == found.single.calls == 3 and found.texts_per_second > 0
    with pytest.raises(DocumentError, match="nothing to encode"):
        encoding(HashEncoder(16), [])


def test_an_index_is_searched_in_every_mode_and_measured(tmp_path: Path) -> None:
    documents = [
        Document(str(n), f"document number {n} of some text", lang="en") for n in range(30)
    ]
    path = tmp_path / "d.index"
    build_index(path, documents, HashEncoder(16))
    retriever = Retriever.open(path)
    modes: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
    for mode in modes:
        found = search_latency(retriever, ["number 3", "some text"], mode, 5)
        assert found.calls == 2 and 0 < found.p50 <= found.slowest
    measured = size(path, 30)
    on_disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert measured.bytes == on_disk == sum(measured.parts.values())
    assert measured.per_passage == pytest.approx(on_disk / 30)
    assert machine().cores >= 1


def test_samples_are_nested_and_repeat(tmp_path: Path) -> None:
    pairs = tmp_path / "en-cs.tsv"
    lines = [f"sentence {n}\tvěta {n}" for n in range(50)]
    pairs.write_text("\n".join(lines) + "\n", "utf-8")
    files = sample(str(pairs), [5, 20], tmp_path / "out", seed=1)
    assert files[5].name == "en-cs.5.tsv"
    small, large = (files[n].read_text("utf-8").splitlines() for n in (5, 20))
    assert large[:5] == small and len(large) == 20 and set(large) <= set(lines)
    assert large != lines[:20]
    again = sample(str(pairs), [20], tmp_path / "again", seed=1)
    assert again[20].read_bytes() == files[20].read_bytes()
    with pytest.raises(ConfigError, match="50 pairs, fewer than the size 51"):
        sample(str(pairs), [51], tmp_path / "out", seed=1)


def test_sizes_are_a_list_of_numbers() -> None:
    assert parse_sizes("5000,1_000") == [1000, 5000]
    for wrong in ("", "many", "0", "5,-1"):
        with pytest.raises(ConfigError, match="--sizes"):
            parse_sizes(wrong)


def test_the_command_gets_its_places(tmp_path: Path) -> None:
    template = "distill --set corpora.files=[{path:{pairs}}] -o {student}"
    words = command(template, Path("p.tsv"), Path("s"))
    assert words[1:] == [
        "-m",
        "tandem",
        "train",
        "distill",
        "--set",
        "corpora.files=[{path:p.tsv}]",
        "-o",
        "s",
    ]
    with pytest.raises(ConfigError, match=r"\{student\} must stand in it"):
        command("distill {pairs}", Path("p"), Path("s"))
    with pytest.raises(ConfigError, match="--train"):
        command("distill {pairs} -o '{student}", Path("p"), Path("s"))


def test_a_student_is_trained_once_for_the_same_command_and_pairs(tmp_path: Path) -> None:
    pairs, student = tmp_path / "p.tsv", tmp_path / "student"
    pairs.write_text("a\tb\n")
    script = "import pathlib, sys; d = pathlib.Path(sys.argv[1]); d.mkdir(exist_ok=True); (d / 'runs').open('a').write('x')"
    words = [sys.executable, "-c", script, str(student)]
    assert train(words, pairs, student)
    assert not train(words, pairs, student)
    assert (student / "runs").read_text() == "x"
    pairs.write_text("a\tc\n")
    assert train(words, pairs, student)
    assert json.loads((tmp_path / "student.trained.json").read_text())["command"] == words[1:]


def test_training_that_fails_says_its_last_line(tmp_path: Path) -> None:
    pairs, student = tmp_path / "p.tsv", tmp_path / "student"
    pairs.write_text("a\tb\n")
    words = [sys.executable, "-c", "import sys; print('Error: no such setting'); sys.exit(1)"]
    with pytest.raises(BackendError, match=r"p\.tsv ended with code 1: Error: no such setting"):
        train(words, pairs, student)
    assert not (tmp_path / "student.trained.json").exists()
