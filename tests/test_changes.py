"""Any sequence of add, replace, delete and compact gives what a fresh build of the final documents does."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from index_world import DIM, SPLIT, CountingEncoder, build, by_id, document, documents, problems

from configs.errors import DocumentError
from configs.settings import DenseSettings, SearchSettings
from indexer.build import add_documents, build_index, compact, delete_documents
from indexer.schema import Document, Mode
from indexer.storage.manifest import read_manifest
from indexer.verify import verify
from retriever.retriever import Retriever

WORDS = ["red", "green", "blue", "bear", "house", "river", "stone", "winter"]
QUERIES = ["red bear", "green river stone", "winter", "blue house", "bear"]
IDS = [f"d{n}" for n in range(12)]

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=24).map(
    lambda words: " ".join(f"{word}." if n % 6 == 5 else word for n, word in enumerate(words))
)
made = st.builds(
    Document,
    id=st.sampled_from(IDS),
    text=texts,
    title=st.sampled_from(["", "Red title", "River title"]),
    lang=st.sampled_from(["en", "cs"]),
)
batches = st.lists(made, min_size=1, max_size=6, unique_by=lambda item: item.id)


class Changes(RuleBasedStateMachine):
    """The index beside the documents that it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp())
        self.path = self.top / "index"
        self.state: dict[str, Document] = {}
        self.compacted = True

    def teardown(self) -> None:
        shutil.rmtree(self.top)

    @initialize(batch=batches)
    def build(self, batch: list[Document]) -> None:
        build(self.path, batch)
        self.state = by_id(batch)

    @rule(batch=batches)
    def add_or_replace(self, batch: list[Document]) -> None:
        encoder = CountingEncoder()
        report = add_documents(self.path, batch, encoder)
        fresh = [item for item in batch if self.state.get(item.id) != item]
        assert report.unchanged == len(batch) - len(fresh)
        assert report.replaced == sum(item.id in self.state for item in fresh)
        assert encoder.texts == report.passages  # nothing but what is new was encoded
        self.compacted = self.compacted and not fresh
        self.state |= by_id(batch)

    @precondition(lambda self: self.state)
    @rule(data=st.data())
    def add_what_is_there(self, data: st.DataObject) -> None:
        before = read_manifest(self.path).generation
        encoder = CountingEncoder()
        some = data.draw(st.lists(st.sampled_from(sorted(self.state)), unique=True, min_size=1))
        report = add_documents(self.path, [self.state[id_] for id_ in some], encoder)
        assert (report.unchanged, encoder.calls) == (len(some), [])
        assert read_manifest(self.path).generation == before  # nothing to commit

    @precondition(lambda self: self.state)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.state)), unique=True, min_size=1))
        assert delete_documents(self.path, ids).deleted == len(ids)
        self.compacted = False
        for id_ in ids:
            del self.state[id_]

    @rule()
    def compact(self) -> None:
        compact(self.path)
        manifest = read_manifest(self.path)
        assert manifest.deleted == 0
        assert len(manifest.segments) == bool(self.state)
        self.compacted = True

    @invariant()
    def like_a_fresh_build(self) -> None:
        if not self.path.exists():
            return
        assert verify(self.path) == []
        assert read_manifest(self.path).documents == len(self.state)
        changed = Retriever.open(self.path, CountingEncoder(), device="cpu")
        if not self.state:
            assert changed.search("red bear") == []
            return
        fresh_path = self.top / "fresh"
        shutil.rmtree(fresh_path, ignore_errors=True)
        build(fresh_path, self.state.values())
        fresh = Retriever.open(fresh_path, CountingEncoder(), device="cpu")
        assert changed.collection.documents(IDS) == self.state
        modes: list[Mode] = ["dense", "lexical"] if self.compacted else ["dense"]
        for mode in modes:
            ours = changed.rank(QUERIES, 50, mode=mode)
            theirs = fresh.rank(QUERIES, 50, mode=mode)
            for query, one, other in zip(QUERIES, ours, theirs, strict=True):
                assert [id_ for id_, _ in one] == [id_ for id_, _ in other], (mode, query)
                scores = ([s for _, s in one], [s for _, s in other])
                assert np.allclose(*scores, atol=1e-6 if mode == "dense" else 1e-3), (mode, query)
        # Words that are deleted but not reclaimed may still weigh; which documents match may not differ.
        ours, theirs = (r.rank(QUERIES, 50, mode="lexical") for r in (changed, fresh))
        for one, other in zip(ours, theirs, strict=True):
            assert {id_ for id_, _ in one} == {id_ for id_, _ in other}


quick = settings(
    max_examples=8,
    stateful_step_count=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class TestChanges(Changes.TestCase):  # type: ignore[misc,valid-type]
    settings = quick


@pytest.mark.stress
class TestManyChanges(Changes.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(quick, max_examples=60, stateful_step_count=15)


# -- by hand ---------------------------------------------------------------------------------------


def test_a_delete_of_an_unknown_id_deletes_nothing(tmp_path: Path) -> None:
    build(tmp_path, documents(range(3)))
    with pytest.raises(DocumentError, match="not in the index: 'd7', 'd8'; nothing was deleted"):
        delete_documents(tmp_path, ["d1", "d7", "d8"])
    assert problems(tmp_path, by_id(documents(range(3)))) == []
    assert read_manifest(tmp_path).generation == 1


def test_an_id_deleted_twice_in_one_call_is_deleted_once(tmp_path: Path) -> None:
    build(tmp_path, documents(range(3)))
    assert delete_documents(tmp_path, ["d1", "d1"]).deleted == 1
    assert problems(tmp_path, by_id(documents([0, 2]))) == []


def test_deletes_are_marks_until_compact_reclaims_them(tmp_path: Path) -> None:
    items = documents(range(30))  # 10 each of one, two and three passages: 60
    build(tmp_path, items)
    before = (tmp_path / "segment-1" / "vectors.f32").stat().st_size
    assert before == 60 * DIM * 4
    delete_documents(tmp_path, [item.id for item in items[:15]])  # half of them: 30
    manifest = read_manifest(tmp_path)
    assert (manifest.passages, manifest.deleted) == (30, 30)
    assert (tmp_path / "segment-1" / "vectors.f32").stat().st_size == before
    report = compact(tmp_path)
    assert report.encoded == 0
    manifest = read_manifest(tmp_path)
    assert (manifest.passages, manifest.deleted) == (30, 0)
    (segment,) = manifest.segments
    assert (tmp_path / segment.folder / "vectors.f32").stat().st_size == 30 * DIM * 4
    assert problems(tmp_path, by_id(items[15:])) == []


def test_all_documents_may_go_and_others_come(tmp_path: Path) -> None:
    build(tmp_path, documents(range(5)))
    delete_documents(tmp_path, [f"d{n}" for n in range(5)])
    assert problems(tmp_path, {}) == []
    compact(tmp_path)
    assert problems(tmp_path, {}) == []
    assert Retriever.open(tmp_path, CountingEncoder(), device="cpu").search("number1") == []
    add_documents(tmp_path, documents(range(3, 8), version=1), CountingEncoder())
    assert problems(tmp_path, by_id(documents(range(3, 8), version=1))) == []


def test_many_small_additions_leave_few_segments(tmp_path: Path) -> None:
    build(tmp_path, documents([0]))
    for n in range(1, 20):
        add_documents(tmp_path, documents([n]), CountingEncoder())
    assert len(read_manifest(tmp_path).segments) <= 5  # log2(20) is 4.3
    assert problems(tmp_path, by_id(documents(range(20)))) == []


@pytest.mark.parametrize("factory", ["HNSW8", "IVF4,SQ8"])
def test_an_approximate_index_follows_every_change(tmp_path: Path, factory: str) -> None:
    items = documents(range(200))
    build_index(
        tmp_path, items, CountingEncoder(), passages=SPLIT, dense=DenseSettings(factory, 64)
    )
    add_documents(tmp_path, documents(range(190, 230), version=1), CountingEncoder())
    delete_documents(tmp_path, [f"d{n}" for n in range(0, 100, 2)])
    state = by_id(documents(range(190))) | by_id(documents(range(190, 230), version=1))
    state = {id_: item for id_, item in state.items() if int(id_[1:]) % 2 or int(id_[1:]) >= 100}
    assert read_manifest(tmp_path).dense_index.covered < read_manifest(tmp_path).passages + 100
    assert problems(tmp_path, state) == []
    compact(tmp_path)
    assert problems(tmp_path, state) == []
    assert read_manifest(tmp_path).dense_index.covered == read_manifest(tmp_path).passages
    exact = tmp_path / "exact"
    build(exact, state.values())
    queries = [f"number{n} part0" for n in (7, 101, 195, 229)]
    ours = Retriever.open(tmp_path, CountingEncoder(), SearchSettings(mode="dense"), "cpu")
    theirs = Retriever.open(exact, CountingEncoder(), SearchSettings(mode="dense"), "cpu")
    for one, other in zip(ours.rank(queries, 5), theirs.rank(queries, 5), strict=True):
        assert [s for _, s in one] == pytest.approx([s for _, s in other], abs=1e-6)


def test_a_document_that_only_gains_a_title_is_replaced(tmp_path: Path) -> None:
    plain = dataclasses.replace(document(1), title="")
    build(tmp_path, [plain])
    report = add_documents(tmp_path, [document(1)], CountingEncoder())
    assert (report.added, report.replaced, report.unchanged) == (0, 1, 0)
    assert problems(tmp_path, by_id([document(1)])) == []
