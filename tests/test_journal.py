"""The journal of a build: what it keeps, what it cuts off, and what it refuses."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from index_world import DIM, CountingEncoder

import indexer.storage.journal
from configs.errors import IndexFolderError
from indexer.storage.journal import Journal, passage_key

SETTINGS = {"encoder": "hash:16", "passages.size": 1000}
TEXTS = ["one", "two", "three"]


def filled(folder: Path, *batches: list[str]) -> None:
    journal = Journal.open(folder, DIM, SETTINGS)
    for batch in batches:
        journal.encode(batch, CountingEncoder())
    journal.close()


def again(folder: Path, texts: list[str]) -> tuple[list[int], list[int]]:
    """(row of each text, texts encoded in each call) of a journal that is opened again."""
    encoder = CountingEncoder()
    journal = Journal.open(folder, DIM, SETTINGS)
    rows = journal.encode(texts, encoder).tolist()
    journal.close()
    return rows, encoder.calls


def test_a_record_is_a_count_a_checksum_and_a_key_for_each_passage(tmp_path: Path) -> None:
    filled(tmp_path, TEXTS)
    block = (tmp_path / "vectors.f32").read_bytes()
    assert block == CountingEncoder().encode(TEXTS).astype("<f4").tobytes()
    keys = b"".join(map(passage_key, TEXTS))
    assert (tmp_path / "keys.bin").read_bytes() == struct.pack("<II", 3, zlib.crc32(block)) + keys
    assert json.loads((tmp_path / "journal.json").read_text("utf-8")) == SETTINGS


def test_what_was_encoded_is_found_again_in_any_order(tmp_path: Path) -> None:
    filled(tmp_path, ["one", "two"], ["three"])
    assert again(tmp_path, ["three", "four", "one"]) == ([2, 3, 0], [1])


def test_each_row_stands_for_one_passage_equal_texts_included(tmp_path: Path) -> None:
    filled(tmp_path, ["same", "same"])
    assert again(tmp_path, ["same", "same", "same"]) == ([0, 1, 2], [1])


def test_a_batch_is_never_longer_than_what_may_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer.storage.journal, "BATCH", 2)
    encoder = CountingEncoder()
    journal = Journal.open(tmp_path, DIM, SETTINGS)
    assert journal.encode(["a", "b", "c", "d", "e"], encoder).tolist() == [0, 1, 2, 3, 4]
    journal.close()
    assert encoder.calls == [2, 2, 1]


@pytest.mark.parametrize("file", ["keys.bin", "vectors.f32"])
def test_a_batch_that_was_cut_off_is_encoded_again_and_the_others_are_not(
    tmp_path: Path, file: str
) -> None:
    filled(tmp_path, ["one"], ["two"])
    with (tmp_path / file).open("r+b") as opened:
        opened.truncate((tmp_path / file).stat().st_size - 1)
    assert again(tmp_path, ["one", "two"]) == ([0, 1], [1])
    assert (tmp_path / "vectors.f32").stat().st_size == 2 * DIM * 4
    assert again(tmp_path, ["one", "two"]) == ([0, 1], [])


def test_vectors_that_do_not_match_their_checksum_are_encoded_again(tmp_path: Path) -> None:
    filled(tmp_path, ["one"], ["two"])
    with (tmp_path / "vectors.f32").open("r+b") as opened:
        opened.seek(DIM * 4)
        opened.write(b"\xff")
    assert again(tmp_path, ["one", "two"]) == ([0, 1], [1])


def test_a_count_that_cannot_be_asks_for_no_memory(tmp_path: Path) -> None:
    filled(tmp_path, ["one"])
    with (tmp_path / "keys.bin").open("ab") as opened:
        opened.write(struct.pack("<II", 2**32 - 1, 0))  # 256 GiB of vectors, were it true
    assert again(tmp_path, ["one"]) == ([0], [])


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    filled(tmp_path / "journal", ["one"])
    with pytest.raises(IndexFolderError) as refused:
        Journal.open(tmp_path / "journal", DIM, {"encoder": "hash:16", "passages.size": 500})
    message = str(refused.value)
    assert "passages.size was 1000 and is now 500" in message
    assert "encoder" not in message.partition("(")[2].partition(")")[0]
    assert "--restart" in message


@pytest.mark.parametrize("header", ["", "{", "[1]", "[" * 100_000])
def test_without_its_header_a_journal_is_not_trusted(tmp_path: Path, header: str) -> None:
    filled(tmp_path, ["one"])
    (tmp_path / "journal.json").write_text(header, "utf-8")
    assert again(tmp_path, ["one"]) == ([0], [1])


def test_vectors_of_another_width_are_refused(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, DIM, SETTINGS)
    with pytest.raises(IndexFolderError, match=r"shape \(1, 32\); \(1, 16\) was expected"):
        journal.encode(["one"], CountingEncoder(32))
    journal.close()
    assert np.fromfile(tmp_path / "vectors.f32", np.float32).size == 0
