"""Word alignment: what a score is, on a table worked out by hand; the tokens an index keeps; what answers what."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from index_world import SPLIT, expected_tokens, tokens_of
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from configs.errors import IndexFolderError
from configs.settings import SearchSettings
from indexer.build import add_documents, build_index, compact, delete_documents
from indexer.cli import index as command
from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.local_models import FAST
from indexer.encoders.static_encoder import StaticEncoder
from indexer.encoders.token_vectors import TokenTable, aligner, token_table
from indexer.folder import IndexFolder
from indexer.schema import Document
from indexer.search.alignment import Alignment, answers, units
from indexer.search.query import prepared
from indexer.storage.manifest import MANIFEST, checksum, read_manifest
from indexer.storage.passage_tokens import (
    TokenSets,
    TokenStore,
    TokenWriter,
    merge_tokens,
    token_sets,
)
from indexer.verify import verify
from retriever.retriever import Retriever
from retriever.search_index import open_index
from retriever.snippets import Mark, all_marks
from retriever.word_answers import hit_answers
from training.export.static_student import export_static

shipped = pytest.mark.skipif(not FAST.is_dir(), reason="no student in this checkout")

WORDS = ["[UNK]", "hospital", "nemocnice", "school", "the", ".", "hos", "pice"]
TABLE = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [7, 0, 0, 0, 0, 0, 0, 0],
        [7, 4, 0, 0, 0, 0, 0, 4],  # length 9, so the cosine to hospital is 7/9
        [0, 0, 5, 0, 0, 0, 0, 0],
        [0, 0, 0, 0.2, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 3, 0, 0],
        [0, 0, 0, 0, 0, 0, 4, 0],
    ],
    np.float32,
)
NEAR = 7 / 9
PASSAGES = ["the hospital.", "nemocnice nemocnice", "school", ".", "hos and pice", "the the school"]


@pytest.fixture(params=[4, 8, 16])
def student(tmp_path: Path, request: pytest.FixtureRequest) -> StaticEncoder:
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Split("hospice", "removed")]
    )
    tokenizer.save(str(tmp_path / "words.json"))
    export_static(TABLE, tmp_path / "words.json", tmp_path / "s", name="words", bits=request.param)
    return StaticEncoder.load(tmp_path / "s")


def aligned(folder: Path, student: StaticEncoder, passages: list[str]) -> Alignment:
    """The alignment of an index of these passages in two segments."""
    table = TokenTable.of(student)
    halves = [passages[:2], passages[2:]]
    for number, half in enumerate(halves):
        place = folder / str(number)
        place.mkdir()
        writer = TokenWriter(place)
        writer.add(token_sets(*student.token_rows(half), table.known))
        writer.finish()
    store = TokenStore([folder / "0", folder / "1"], [len(half) for half in halves])
    return Alignment(store, np.ones(len(passages), bool), student, table)


def score(alignment: Alignment, query: str, rows: list[int]) -> list[float]:
    asked = prepared([query], HashEncoder(16), ["en"])[0]
    return [float(score) for score in alignment.score(asked, np.array(rows))]


def test_a_word_scores_its_nearest_token_and_a_near_one_counts_as_the_word_itself(
    tmp_path: Path, student: StaticEncoder
) -> None:
    alignment = aligned(tmp_path, student, PASSAGES)
    # cosines 1, 7/9 and 0, over 0.9
    assert score(alignment, "hospital", [0, 1, 2, 3]) == pytest.approx(
        [1, NEAR / 0.9, 0, 0], abs=0.01
    )
    # whatever the order of the rows, and one at a time
    assert score(alignment, "hospital", [3, 1, 0]) == pytest.approx([0, NEAR / 0.9, 1], abs=0.01)
    assert score(alignment, "hospital", [1]) == score(alignment, "hospital", [0, 1])[1:]
    assert score(alignment, "hospital", []) == []


def test_a_words_weight_is_its_length_and_how_few_passages_hold_it(
    tmp_path: Path, student: StaticEncoder
) -> None:
    alignment = aligned(tmp_path, student, PASSAGES)
    # df: hospital 1 + (7/9)^4, school 2, of 6 passages
    hospital = 7**1.5 * math.log(7 / (1 + NEAR**4 + 0.5))
    school = 5**1.5 * math.log(7 / 2.5)
    the = 0.2**1.5 * math.log(7 / 2.5)
    total = hospital + school + the
    shares = alignment.weights("the hospital school hospital")
    assert shares == pytest.approx(
        {"the": the / total, "hospital": hospital / total, "school": school / total}, abs=0.01
    )
    expected = [(hospital + the) / total, hospital * NEAR / 0.9 / total, school / total]
    assert score(alignment, "the hospital school", [0, 1, 2]) == pytest.approx(expected, abs=0.01)


def test_a_query_without_a_known_token_scores_nothing(
    tmp_path: Path, student: StaticEncoder
) -> None:
    alignment = aligned(tmp_path, student, PASSAGES)
    for query in ("unheard", "...", "[UNK]"):
        assert score(alignment, query, [0, 1, 2]) == [0, 0, 0]


def test_answers_name_the_nearest_word_and_where_it_stands(student: StaticEncoder) -> None:
    table = TokenTable.of(student)
    found = answers("School the nemocnice", "The Hospital. School", student, table)
    assert [(a.word, a.answer, a.start, a.end) for a in found] == [
        ("School", "School", 14, 20),
        ("the", "The", 0, 3),
        ("nemocnice", "Hospital", 4, 12),
    ]
    assert [a.similarity for a in found] == pytest.approx([1, 1, NEAR], abs=0.01)
    assert answers("unheard", "The Hospital", student, table) == []
    assert answers("school", "", student, table) == []


def test_tokens_are_kept_once_a_passage_and_without_marks(student: StaticEncoder) -> None:
    known = TokenTable.of(student).known
    assert known.tolist() == [False, True, True, True, True, False, True, True]
    flat, borders = token_sets(*student.token_rows(["the the school . the", "", "."]), known)
    assert (flat.tolist(), borders.tolist()) == ([3, 4], [0, 2, 2, 2])


def test_packed_rows_have_the_cosines_of_unpacked_ones() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (3000, 16)).astype(np.uint8)
    scale = rng.random(3000).astype(np.float32)
    numbers = np.empty((3000, 32), np.float32)
    numbers[:, 0::2], numbers[:, 1::2] = (rows & 15) - 8.0, (rows >> 4) - 8.0
    lengths = np.linalg.norm(numbers, axis=1)
    table = TokenTable(rows, scale, np.ones(3000, bool), (1 / lengths).astype(np.float32))
    tokens = rng.permutation(3000)[:2500].astype(np.int32)
    vectors = rng.standard_normal((3, 32)).astype(np.float32)
    expected = (numbers[tokens] / lengths[tokens][:, None]) @ vectors.T
    np.testing.assert_allclose(table.cosines(vectors, tokens), expected, atol=1e-4)
    np.testing.assert_allclose(
        table.vectors(tokens), numbers[tokens] * scale[tokens][:, None], rtol=1e-6
    )


def test_steps_take_two_bytes_and_large_gaps_four(tmp_path: Path) -> None:
    sets = [[0], [], [65_534], [65_535], [1, 2, 200_000], [70_000, 140_000, 205_000]]
    flat = np.array([t for each in sets for t in each], np.int32)
    borders = np.cumsum([0, *map(len, sets)])
    writer = TokenWriter(tmp_path)
    writer.add(TokenSets(flat[:2], borders[:4]))
    writer.add(TokenSets(flat[2:], borders[3:] - 2))
    writer.finish()
    # a gap of n x 65,535 and up takes n more numbers: 65,535 one, 200,000 - 3 three, 70,000 and two more one each
    assert (tmp_path / "tokens.bin").stat().st_size == 2 * (len(flat) + 1 + 3 + 2)
    store = TokenStore([tmp_path], [6])
    store.check()
    rows = [5, 1, 0, 4, 4, 3, 2]
    found = store.take(np.array(rows))
    parts = np.split(found.flat, found.borders[1:-1])
    assert [part.tolist() for part in parts] == [sets[row] for row in rows]
    (tmp_path / "m").mkdir()
    merge_tokens([tmp_path, tmp_path], tmp_path / "m")
    merged = TokenStore([tmp_path / "m"], [12]).take(np.arange(12))
    assert merged.flat.tolist() == [*flat.tolist(), *flat.tolist()]
    with pytest.raises(ValueError, match=r"\(8,\)"):
        TokenStore([tmp_path], [7])


# -- in an index -----------------------------------------------------------------------------------

ITEMS = [
    Document("cs", "Nemocnice je zavřená. Lékaři mají volno.", "Praha", lang="cs"),
    Document("en", "The hospital is closed. The doctors are at home.", "Prague", lang="en"),
    Document("ja", "東京の病院は開いています。", "", lang="ja"),
    Document("none", "?!", "...", lang="en"),
]


def built(path: Path, encoder: Any = None) -> IndexFolder:
    encoder = encoder or HashEncoder(16)
    build_index(path, ITEMS, encoder, passages=SPLIT)
    return IndexFolder.open(path, encoder)


@shipped
@pytest.mark.parametrize("static", [True, False])
def test_every_index_keeps_the_tokens_of_the_student_whatever_its_encoder(
    tmp_path: Path, static: bool
) -> None:
    encoder = StaticEncoder.load(FAST) if static else HashEncoder(16)
    folder = built(tmp_path, encoder)
    texts = [f"{d.title}\n{d.text}" if d.title else d.text for d in ITEMS]
    assert tokens_of(folder, np.arange(4)) == expected_tokens(texts)
    assert folder.facts.aligned and folder.facts.note == ""
    assert folder.alignment is not None
    scores = folder.alignment.score(folder.queries(["nemocnice"])[0], np.arange(4))
    assert scores[0] == pytest.approx(1) and scores[1] > 0.8 > 0.5 > scores[3] == 0
    folder.close()


@shipped
def test_the_pool_of_a_hybrid_search_has_alignment_and_a_setting_turns_it_off(
    tmp_path: Path,
) -> None:
    built(tmp_path).close()
    retriever = Retriever.open(tmp_path, HashEncoder(16))
    hit = retriever.search("nemocnice")[0]
    assert set(hit.parts) == {"dense", "lexical", "alignment"}
    assert hit.parts["alignment"].score == pytest.approx(1) and hit.parts["alignment"].rank is None
    assert set(retriever.search("nemocnice", mode="lexical")[0].parts) == {"lexical"}
    off = retriever.with_settings(SearchSettings(alignment=0))
    assert set(off.search("nemocnice")[0].parts) == {"dense", "lexical"}
    assert hit_answers(off.search("nemocnice")[0], "nemocnice") == ()
    # a score asked for by id is the one of a search
    scores = retriever.score("nemocnice", ["cs", "en"])
    assert {h.document.id: h.score for h in retriever.search("nemocnice")}["cs"] == scores[0]


@shipped
def test_tokens_follow_additions_deletions_and_compaction(tmp_path: Path) -> None:
    built(tmp_path).close()
    encoder = HashEncoder(16)
    add_documents(tmp_path, [Document("new", "Bicycle repair", lang="en")], encoder)
    delete_documents(tmp_path, ["en"], encoder)
    compact(tmp_path)
    assert verify(tmp_path) == []
    folder = IndexFolder.open(tmp_path, encoder)
    ids = ["cs", "ja", "none", "new"]
    rows = [int(folder.passages([id_])[id_][0]) for id_ in ids]
    texts = ["Praha\n" + ITEMS[0].text, ITEMS[2].text, "...\n?!", "Bicycle repair"]
    assert tokens_of(folder, np.array(rows)) == expected_tokens(texts)
    folder.close()


def without_tokens(path: Path) -> None:
    """An index as an older Tandem wrote it."""
    values = json.loads((path / MANIFEST).read_text("utf-8"))
    del values["checksum"], values["alignment"]
    for name in list(values["files"]):
        if "token" in name:
            del values["files"][name]
            (path / name).unlink()
    values["checksum"] = checksum(values)
    (path / MANIFEST).write_text(json.dumps(values), "utf-8")


@shipped
def test_an_older_index_is_searched_without_alignment_and_compact_adds_it(tmp_path: Path) -> None:
    built(tmp_path).close()
    without_tokens(tmp_path)
    assert verify(tmp_path) == []
    folder = IndexFolder.open(tmp_path, HashEncoder(16))
    assert folder.alignment is None and not folder.facts.aligned and folder.facts.note == ""
    assert set(Retriever(folder).search("nemocnice")[0].parts) == {"dense", "lexical"}
    said = CliRunner().invoke(command, ["info", str(tmp_path)]).output
    assert f"alignment  off: no tokens are kept; add them: tandem index compact {tmp_path}" in said
    add_documents(tmp_path, [Document("new", "Bicycle repair", lang="en")], HashEncoder(16))
    assert read_manifest(tmp_path).alignment is None and verify(tmp_path) == []
    compact(tmp_path)
    folder = IndexFolder.open(tmp_path, HashEncoder(16))
    assert folder.facts.aligned
    assert tokens_of(folder, np.arange(5)) is not None
    folder.close()


def written_by(path: Path, fingerprint: str) -> None:
    """Let the index at `path` say that its tokens are those of another student."""
    values = json.loads((path / MANIFEST).read_text("utf-8"))
    del values["checksum"]
    values["alignment"]["fingerprint"] = fingerprint
    values["checksum"] = checksum(values)
    (path / MANIFEST).write_text(json.dumps(values), "utf-8")


@shipped
def test_tokens_of_an_earlier_table_stay_in_use(tmp_path: Path) -> None:
    """`fast` was trained further under the same tokenizer; indexes from before keep their alignment."""
    built(tmp_path).close()
    written_by(tmp_path, "f7d6b51aa84adcbc760cd3ffb6898ee8")
    assert IndexFolder.open(tmp_path, HashEncoder(16)).facts.note == ""
    add_documents(tmp_path, [Document("new", "Bicycle repair", lang="en")], HashEncoder(16))
    folder = IndexFolder.open(tmp_path, HashEncoder(16))
    assert folder.facts.aligned
    assert "alignment" in Retriever(folder).search("nemocnice")[0].parts


@shipped
def test_tokens_of_another_student_turn_alignment_off_with_one_line(tmp_path: Path) -> None:
    built(tmp_path).close()
    written_by(tmp_path, "older")
    folder = IndexFolder.open(tmp_path, HashEncoder(16))
    note = folder.facts.note
    assert "words are not aligned" in note and "older" in note and "tandem index compact" in note
    assert "\n" not in note and folder.alignment is None
    assert set(Retriever(folder).search("nemocnice")[0].parts) == {"dense", "lexical"}
    add_documents(tmp_path, [Document("new", "Bicycle repair", lang="en")], HashEncoder(16))
    assert read_manifest(tmp_path).alignment is None
    compact(tmp_path)
    assert IndexFolder.open(tmp_path, HashEncoder(16)).facts.aligned


@shipped
def test_deleted_documents_and_damaged_tokens_are_found(tmp_path: Path) -> None:
    built(tmp_path).close()
    file = tmp_path / "segment-1" / "tokens.bin"
    whole = file.read_bytes()
    file.write_bytes(b"\xff" * len(whole))
    assert verify(tmp_path) == [
        "segment-1/tokens.bin: its content is not what was written (wrong SHA-256)"
    ]
    # unverified, it is searched: a token that does not exist is another one, and nothing breaks
    folder = IndexFolder.open(tmp_path, HashEncoder(16))
    assert len(Retriever(folder).search("nemocnice")) > 0
    file.write_bytes(whole[:-2])
    with pytest.raises(IndexFolderError, match=r"tokens\.bin: damaged"):
        IndexFolder.open(tmp_path, HashEncoder(16))


@shipped
def test_a_hit_in_another_language_is_explained_word_by_word(tmp_path: Path) -> None:
    built(tmp_path).close()
    index = open_index(tmp_path, HashEncoder(16))
    hits = {hit.document.id: hit for hit in index.search("zavřená nemocnice Praha")}
    found = {a.word: a for a in hit_answers(hits["en"], "zavřená nemocnice Praha")}
    assert found["nemocnice"].answer == "hospital" and found["nemocnice"].similarity > 0.7
    assert found["zavřená"].answer == "closed"
    text = hits["en"].passage.text
    assert text[found["nemocnice"].start : found["nemocnice"].end] == "hospital"
    assert (found["Praha"].answer, found["Praha"].start) == ("Prague", -1)  # in the title


@shipped
def test_words_that_answer_are_marked_only_in_another_language() -> None:
    text = "The hospital is closed."
    query = "kdy je zavřená nemocnice"
    near = [(text[a:b], mark) for a, b, mark in all_marks(text, query, "en", True)]
    assert ("hospital", Mark.NEAR) in near and ("The", Mark.NEAR) not in near
    assert all_marks(text, query, "en", False) == []
    same = all_marks("Nemocnice je zavřená.", query, "cs", True)
    assert {mark for *_, mark in same} == {Mark.EXACT}


@shipped
def test_a_long_or_repeated_query_is_answered(tmp_path: Path) -> None:
    folder = built(tmp_path)
    assert folder.alignment is not None
    long = " ".join(f"hospital word{n} nemocnice" for n in range(500))  # 502 different words
    for query in (long, "病院 " * 400, "hospital " * 500):
        scores = folder.alignment.score(folder.queries([query])[0], np.arange(4))
        assert ((scores >= 0) & (scores <= 1)).all()
    student = aligner()
    assert student is not None
    asked = units(long, student, token_table())
    assert len(asked.words) == 64
    assert len(units("hospital " * 500, student, token_table()).words) == 1
    assert len(units("東京の病院", student, token_table()).words) >= 2  # a script without spaces
    folder.close()


def test_a_syllable_of_a_word_is_no_answer() -> None:
    student = aligner()
    assert student is not None
    (answer,) = answers("se", "A diplomat bought it in Seoul.", student, token_table())
    assert answer.similarity < 0.9
