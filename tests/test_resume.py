"""An interrupted build goes on where it stopped, and refuses to go on as another build."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from index_world import SPLIT, CountingEncoder, by_id, document, documents, problems

import indexer.prepare
import indexer.storage.commit
import indexer.storage.journal
from configs.errors import IndexFolderError
from configs.settings import DenseSettings, LexicalSettings, PassageSettings
from indexer.build import ChangeReport, add_documents, build_index, compact, delete_documents
from indexer.folder import IndexFolder
from indexer.schema import Kind, Matrix
from indexer.text.passages import passage_texts, split
from indexer.verify import verify

BATCH = 8  # documents, and passages: each document has one here
ITEMS = documents(range(0, 150, 3))  # 50 documents of one passage


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer.prepare, "BATCH", BATCH)
    monkeypatch.setattr(indexer.storage.journal, "BATCH", BATCH)


class Broken(Exception):
    pass


class BreakingEncoder(CountingEncoder):
    """Breaks in its `last`-th call, as a kill there would: nothing of that batch is kept."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        if kind == "passage" and len(self.calls) == self.last:
            raise Broken
        return super().encode(texts, kind)


def interrupted(path: Path, after: int = 3) -> None:
    """A build that encoded `after` batches."""
    with pytest.raises(Broken):
        build_index(path, ITEMS, BreakingEncoder(after), passages=SPLIT)


def test_a_resumed_build_encodes_what_is_missing_and_no_more(tmp_path: Path) -> None:
    interrupted(tmp_path)
    encoder = CountingEncoder()
    report = build_index(tmp_path, ITEMS, encoder, passages=SPLIT)
    assert encoder.texts == report.encoded == 50 - 3 * BATCH
    assert report.passages == 50
    assert problems(tmp_path, by_id(ITEMS)) == []
    assert not (tmp_path / "journal").exists()


@pytest.mark.parametrize("point", ["batch encoded", "segment written", "files synced"])
def test_what_was_written_before_the_end_is_not_encoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    seen = 0

    def reached(name: str) -> None:
        nonlocal seen
        seen += name == point
        if seen == (4 if point == "batch encoded" else 1):
            raise Broken

    monkeypatch.setattr(indexer.storage.commit, "reached", reached)
    with pytest.raises(Broken):
        build_index(tmp_path, ITEMS, CountingEncoder(), passages=SPLIT)
    monkeypatch.undo()
    encoder = CountingEncoder()
    build_index(tmp_path, ITEMS, encoder, passages=SPLIT)
    assert encoder.texts == (50 - 4 * BATCH if point == "batch encoded" else 0)
    assert problems(tmp_path, by_id(ITEMS)) == []


def test_documents_may_come_in_another_order_and_more_of_them(tmp_path: Path) -> None:
    interrupted(tmp_path)
    encoder = CountingEncoder()
    more = [*reversed(ITEMS), document(300)]
    build_index(tmp_path, more, encoder, passages=SPLIT)
    assert encoder.texts == 51 - 3 * BATCH
    assert problems(tmp_path, by_id(more)) == []


def test_one_long_document_is_resumed_in_its_middle(tmp_path: Path) -> None:
    text = " ".join(f"Sentence number{n} stands here for itself alone." for n in range(60))
    long = dataclasses.replace(document(0), text=text)
    with pytest.raises(Broken):
        build_index(tmp_path, [long], BreakingEncoder(3), passages=SPLIT)
    encoder = CountingEncoder()
    report = build_index(tmp_path, [long], encoder, passages=SPLIT)
    assert report.passages == 60
    assert encoder.texts == 60 - 3 * BATCH


def test_an_interrupted_add_is_resumed_even_after_a_delete_and_a_compact(tmp_path: Path) -> None:
    build_index(tmp_path, ITEMS, CountingEncoder(), passages=SPLIT)
    more = documents(range(300, 420, 3))
    with pytest.raises(Broken):
        add_documents(tmp_path, more, BreakingEncoder(3))
    delete_documents(tmp_path, ["d0"])
    compact(tmp_path)
    encoder = CountingEncoder()
    add_documents(tmp_path, more, encoder)
    assert encoder.texts == 40 - 3 * BATCH
    assert problems(tmp_path, by_id([*ITEMS[1:], *more])) == []


def other_model() -> CountingEncoder:
    encoder = CountingEncoder()
    encoder.fingerprint = "hash-2-16"
    return encoder


Resume = Callable[[Path], ChangeReport]
OTHERS: dict[str, tuple[Resume, str]] = {
    "encoder": (
        lambda path: build_index(path, ITEMS, CountingEncoder(32), passages=SPLIT),
        r"encoder was 'hash:16 \(hash-1-16\)' and is now 'hash:32 \(hash-1-32\)'",
    ),
    "weights": (
        lambda path: build_index(path, ITEMS, other_model(), passages=SPLIT),
        r"encoder was 'hash:16 \(hash-1-16\)' and is now 'hash:16 \(hash-2-16\)'",
    ),
    "chunking": (
        lambda path: build_index(
            path, ITEMS, CountingEncoder(), passages=PassageSettings(size=80, overlap=0)
        ),
        "passages.size was 60 and is now 80",
    ),
    "prompt": (
        lambda path: build_index(
            path, ITEMS, CountingEncoder(), passages=SPLIT, passage_prompt="passage: "
        ),
        "encoder.passage_prompt was None and is now 'passage: '",
    ),
    "words": (
        lambda path: build_index(
            path, ITEMS, CountingEncoder(), passages=SPLIT, lexical=LexicalSettings("rank_bm25")
        ),
        "lexical.backend was 'tantivy' and is now 'rank_bm25'",
    ),
    "factory": (
        lambda path: build_index(
            path, ITEMS, CountingEncoder(), passages=SPLIT, dense=DenseSettings("HNSW8")
        ),
        "dense.factory was 'auto' and is now 'HNSW8'",
    ),
}


@pytest.mark.parametrize("difference", OTHERS)
def test_resuming_as_another_build_is_refused_and_the_difference_named(
    tmp_path: Path, difference: str
) -> None:
    resume, message = OTHERS[difference]
    interrupted(tmp_path)
    with pytest.raises(IndexFolderError, match=message) as refused:
        resume(tmp_path)
    assert "--restart" in str(refused.value)
    assert str(refused.value).count(" was ") == 2  # "a build was interrupted", and one difference
    # What was encoded is still there for the build that it belongs to.
    encoder = CountingEncoder()
    build_index(tmp_path, ITEMS, encoder, passages=SPLIT)
    assert encoder.texts == 50 - 3 * BATCH


def test_every_difference_is_named_at_once(tmp_path: Path) -> None:
    interrupted(tmp_path)
    with pytest.raises(IndexFolderError) as refused:
        build_index(
            tmp_path, ITEMS, CountingEncoder(32), passages=PassageSettings(size=70, overlap=5)
        )
    for name in ("encoder", "passages.size", "passages.overlap"):
        assert f"{name} was " in str(refused.value)


def test_restart_discards_what_was_encoded(tmp_path: Path) -> None:
    interrupted(tmp_path)
    encoder = CountingEncoder(32)
    report = build_index(tmp_path, ITEMS, encoder, passages=SPLIT, restart=True)
    assert encoder.texts == report.encoded == 50


def test_an_overwrite_that_was_given_up_does_not_stand_in_the_way_of_an_add(
    tmp_path: Path,
) -> None:
    build_index(tmp_path, ITEMS, CountingEncoder(), passages=SPLIT)
    with pytest.raises(Broken):
        build_index(tmp_path, ITEMS, BreakingEncoder(2), overwrite=True)  # passages of 1,000
    with pytest.raises(IndexFolderError, match=r"passages\.size was 1000 and is now 60"):
        add_documents(tmp_path, documents([300]), CountingEncoder())
    add_documents(tmp_path, documents([300]), CountingEncoder(), restart=True)
    assert problems(tmp_path, by_id([*ITEMS, document(300)])) == []


def test_vectors_stand_with_their_own_passages_whatever_was_resumed(tmp_path: Path) -> None:
    same = [dataclasses.replace(document(n), text="the same text", title="") for n in range(20)]
    mixed = [item for pair in zip(same, documents(range(100, 120)), strict=True) for item in pair]
    with pytest.raises(Broken):
        build_index(tmp_path, mixed, BreakingEncoder(2), passages=SPLIT)
    build_index(tmp_path, mixed, CountingEncoder(), passages=SPLIT)
    assert verify(tmp_path) == []
    folder = IndexFolder.open(tmp_path, CountingEncoder(), "cpu")
    for item in mixed:
        texts = passage_texts(item.title, item.text, split(item.text, SPLIT.size, SPLIT.overlap))
        vectors = folder.dense.vectors(folder.passages([item.id])[item.id])
        np.testing.assert_allclose(vectors, CountingEncoder().encode(texts), atol=1e-6)
    folder.close()
