"""Bitext mining: margins against a brute-force oracle, retrieval strategies, thresholds, BUCC's files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from configs.errors import ConfigError, DocumentError
from configs.settings import DenseSettings, PassageSettings
from eval.sentences.bucc import Mined, best_threshold, quality, read_gold, read_split, write_gold
from eval.sentences.margin import (
    MARGINS,
    RETRIEVALS,
    Margin,
    Neighbours,
    Retrieval,
    choose,
    mean_cosine,
)
from eval.sentences.mining import (
    LONGEST,
    Sentences,
    as_documents,
    first_of_each,
    identified,
    live_sentences,
    mine,
    read_sentences,
    with_factory,
    write_pairs,
)
from indexer.build import build_index, delete_documents
from indexer.encoders.hash_encoder import HashEncoder
from indexer.folder import IndexFolder
from indexer.schema import Document, Matrix
from indexer.vectors import unit_rows


def nearest(queries: Matrix, pool: Matrix, k: int) -> Neighbours:
    """Exact neighbours, ties to the lower row."""
    scores = queries @ pool.T
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return Neighbours(np.take_along_axis(scores, rows, axis=1), rows)


def oracle(
    x: Matrix, y: Matrix, k: int, margin: str, retrieval: str
) -> dict[tuple[int, int], float]:
    """The definition, in loops over the full table of cosines (Artetxe and Schwenk 2019, section 3)."""
    cosine = x @ y.T
    near_y = [sorted(range(len(y)), key=lambda j: (-cosine[i, j], j))[:k] for i in range(len(x))]
    near_x = [sorted(range(len(x)), key=lambda i: (-cosine[i, j], i))[:k] for j in range(len(y))]

    def score(i: int, j: int) -> float:
        a = float(cosine[i, j])
        left = sum(float(cosine[i, n]) for n in near_y[i]) / (2 * k)
        right = sum(float(cosine[n, j]) for n in near_x[j]) / (2 * k)
        return {"absolute": a, "distance": a - left - right, "ratio": a / (left + right)}[margin]

    forward = {(i, max(near_y[i], key=lambda j: score(i, j))) for i in range(len(x))}
    backward = {(max(near_x[j], key=lambda i: score(i, j)), j) for j in range(len(y))}
    if retrieval == "forward":
        chosen = forward
    elif retrieval == "backward":
        chosen = backward
    elif retrieval == "intersection":
        chosen = forward & backward
    else:
        chosen = set()
        for i, j in sorted(forward | backward, key=lambda pair: (-score(*pair), pair)):
            if all(i != a and j != b for a, b in chosen):
                chosen.add((i, j))
    return {pair: score(*pair) for pair in chosen}


def translations(n: int, dim: int, seed: int, noise: float = 0.35) -> tuple[Matrix, Matrix]:
    """Two sides where row i of one is row i of the other, blurred; positive, so that means are."""
    random = np.random.default_rng(seed)
    base = random.random((n, dim))
    return unit_rows(base), unit_rows(base + noise * random.random((n, dim)))


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("retrieval", RETRIEVALS)
def test_pairs_and_f1_are_those_of_the_brute_force_definition(
    margin: Margin, retrieval: Retrieval
) -> None:
    x, y = translations(60, 8, seed=4, noise=1.2)
    y = np.ascontiguousarray(y[:47])  # sides of unequal length
    expected = oracle(x, y, 4, margin, retrieval)
    pairs = choose(nearest(x, y, 4), nearest(y, x, 4), margin, retrieval)
    found = dict(
        zip(
            zip(pairs.source.tolist(), pairs.target.tolist(), strict=True),
            pairs.scores,
            strict=True,
        )
    )
    assert found.keys() == expected.keys()
    for pair, score in expected.items():
        assert found[pair] == pytest.approx(score, abs=1e-6)
    gold = {(str(i), str(i)) for i in range(47)}

    def f1(table: dict[tuple[int, int], float]) -> float:
        mined = [Mined(str(i), str(j), float(s)) for (i, j), s in table.items()]
        return quality(mined, gold, best_threshold(mined, gold)).f1

    assert f1(found) == f1(expected)  # to the last digit
    assert 0.2 < f1(found) < 1.0


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 20),
    st.integers(2, 20),
    st.integers(1, 5),
    st.integers(0, 10_000),
    st.sampled_from(MARGINS),
    st.sampled_from(RETRIEVALS),
)
def test_any_two_sides_agree_with_the_definition(
    n: int, m: int, k: int, seed: int, margin: Margin, retrieval: Retrieval
) -> None:
    random = np.random.default_rng(seed)
    x, y = (unit_rows(random.random((size, 5)) + 0.05) for size in (n, m))
    k = min(k, n, m)
    expected = oracle(x, y, k, margin, retrieval)
    pairs = choose(nearest(x, y, k), nearest(y, x, k), margin, retrieval)
    assert set(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)) == expected.keys()


def by_hand() -> tuple[Neighbours, Neighbours]:
    """Two sources and two targets with cosines [[.9, .6], [.8, .7]], k = 2."""
    cosine: NDArray[np.float32] = np.array([[0.9, 0.6], [0.8, 0.7]], dtype=np.float32)
    rows = np.array([[0, 1], [0, 1]])
    return Neighbours(cosine, rows), Neighbours(np.ascontiguousarray(cosine.T), rows)


def test_margins_worked_out_by_hand() -> None:
    forward, backward = by_hand()
    assert mean_cosine(forward) == pytest.approx([0.75, 0.75])
    assert mean_cosine(backward) == pytest.approx([0.85, 0.65])
    # ratio: (0,0) .9/.8 = 1.125   (0,1) .6/.7 = .857   (1,0) .8/.8 = 1   (1,1) .7/.7 = 1
    ratio = choose(forward, backward, "ratio", "max")
    assert ratio.source.tolist() == [0, 1] and ratio.target.tolist() == [0, 1]
    assert ratio.scores == pytest.approx([1.125, 1.0])
    distance = choose(forward, backward, "distance", "max")
    assert distance.scores == pytest.approx([0.1, 0.0], abs=1e-6)
    # by cosine alone source 1 also takes target 0, and both targets want source 0 and 1
    absolute = choose(forward, backward, "absolute", "forward")
    assert absolute.source.tolist() == [0, 1] and absolute.target.tolist() == [0, 0]
    assert choose(forward, backward, "absolute", "intersection").source.tolist() == [0]
    backwards = choose(forward, backward, "absolute", "backward")
    assert list(zip(backwards.source, backwards.target, strict=True)) == [(0, 0), (1, 1)]


def test_neighbours_that_were_not_found_count_for_nothing() -> None:
    forward = Neighbours(
        np.array([[0.5, 9.0], [9.0, 9.0]], np.float32), np.array([[0, -1], [-1, -1]])
    )
    backward = Neighbours(np.array([[0.5]], np.float32), np.array([[0]]))
    assert mean_cosine(forward).tolist() == [0.5, 0.0]
    for retrieval in RETRIEVALS:
        pairs = choose(forward, backward, "ratio", retrieval)  # type: ignore[arg-type]
        assert (pairs.source.tolist(), pairs.target.tolist()) == ([0], [0])
        assert pairs.scores.tolist() == [1.0]


def test_the_threshold_lies_midway_behind_the_best_f1() -> None:
    mined = [Mined("a", "a", 1.4), Mined("b", "b", 1.2), Mined("c", "x", 1.1), Mined("d", "d", 1.0)]
    gold = {("a", "a"), ("b", "b"), ("e", "e")}
    # F1 after one pair 2/4, after two 4/5, after three 4/6, after four 4/7
    threshold = best_threshold(mined, gold)
    assert threshold == pytest.approx(1.15)
    found = quality(mined, gold, threshold)
    assert (found.kept, found.right, found.precision, found.f1) == (2, 2, 1.0, 0.8)
    assert found.recall == pytest.approx(2 / 3)


def test_pairs_of_one_score_are_kept_or_left_together() -> None:
    mined = [Mined("a", "a", 1.0), Mined("b", "x", 1.0), Mined("c", "x", 0.5)]
    gold = {("a", "a")}
    threshold = best_threshold(mined, gold)
    found = quality(mined, gold, threshold)
    assert 0.5 < threshold <= 1.0 and (found.kept, found.right) == (2, 1)


def test_nothing_right_keeps_nothing() -> None:
    mined = [Mined("a", "b", 1.0)]
    gold = {("c", "c")}
    found = quality(mined, gold, best_threshold(mined, gold))
    assert (found.kept, found.precision, found.recall, found.f1) == (0, 0.0, 0.0, 0.0)
    with pytest.raises(DocumentError, match="no gold pairs"):
        best_threshold(mined, set())


def bucc(folder: Path, gold: str = "cs-1\ten-2\n") -> str:
    (folder / "cs-en.training.cs").write_text("cs-1\tDobrý den.\ncs-2\tPes.\ncs-3\tPes.\n", "utf-8")
    (folder / "cs-en.training.en").write_text("en-1\tA cat.\nen-2\tGood day.\n", "utf-8")
    (folder / "cs-en.training.gold").write_text(gold, "utf-8")
    return str(folder / "cs-en.training")


def test_bucc_files_come_in_and_go_out(tmp_path: Path) -> None:
    split = read_split(bucc(tmp_path))
    assert split.langs == ("cs", "en")
    # a sentence that stands there twice stays: a gold pair may name either
    assert split.source == {"cs-1": "Dobrý den.", "cs-2": "Pes.", "cs-3": "Pes."}
    assert split.repeated == 1
    assert split.target["en-2"] == "Good day." and split.gold == frozenset([("cs-1", "en-2")])
    out = tmp_path / "found.txt"
    write_gold(str(out), [Mined("cs-1", "en-2", 1.3), Mined("cs-2", "en-1", 1.1)])
    assert out.read_bytes() == b"cs-1\ten-2\ncs-2\ten-1\n"
    assert read_gold(str(out)) == {("cs-1", "en-2"), ("cs-2", "en-1")}


def test_a_split_without_gold_can_be_mined(tmp_path: Path) -> None:
    prefix = bucc(tmp_path)
    Path(prefix + ".gold").unlink()
    assert read_split(prefix).gold is None


def test_faulty_bucc_files_are_refused_with_their_place(tmp_path: Path) -> None:
    prefix = bucc(tmp_path, gold="cs-1\ten-9\n")
    with pytest.raises(DocumentError, match=r"1 of 1 pairs name a sentence.* cs-1 and en-9"):
        read_split(prefix)
    Path(prefix + ".en").write_text("en-1\tA cat.\nen-1\tA dog.\n")
    with pytest.raises(DocumentError, match=r"training\.en:2: the id en-1 stands twice"):
        read_split(prefix)
    Path(prefix + ".en").write_text("A cat.\n")
    with pytest.raises(DocumentError, match=r"training\.en:1: 2 columns"):
        read_split(prefix)
    Path(prefix + ".en").unlink()
    with pytest.raises(DocumentError, match=r"training\.en: no such file"):
        read_split(prefix)
    with pytest.raises(DocumentError, match="--langs"):
        read_split(str(tmp_path / "sample"))


# -- through index folders -------------------------------------------------------------------------


def heaps(folder: Path, n: int = 300) -> tuple[Path, Path]:
    """Two files of n sentences; those of one number share most words. One repeats, one is blank."""
    random = np.random.default_rng(7)
    words = [f"{a}{b}" for a in "bdfghklmnprst" for b in ("a", "eno", "ik", "olu", "ura")]
    one, other = [], []
    for number in range(n):
        picked = random.choice(words, 8).tolist()
        one.append(" ".join([*picked, f"w{number}"]))
        other.append(" ".join([*picked[:6], *random.choice(words, 2).tolist(), f"w{number}"]))
    order = random.permutation(n)
    source, target = folder / "source.txt", folder / "target.txt"
    source.write_text("\n".join([*one, one[0], "", "  "]) + "\n", "utf-8")
    target.write_text("\n".join(other[place] for place in order) + "\n", "utf-8")
    return source, target


def built(folder: Path, file: Path, factory: str = "Flat") -> Sentences:
    first = first_of_each(read_sentences(file))
    documents = as_documents(read_sentences(file), first, "en")
    dense = DenseSettings(factory=factory)
    passages = PassageSettings(size=LONGEST, overlap=0)
    build_index(folder, documents, HashEncoder(64), passages=passages, dense=dense)
    return live_sentences(IndexFolder.open(folder, HashEncoder(64)))


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Sentences, Sentences]:
    source, target = heaps(tmp_path)
    return built(tmp_path / "s.index", source), built(tmp_path / "t.index", target)


def test_mining_between_folders_is_the_brute_force_definition(
    sides: tuple[Sentences, Sentences],
) -> None:
    source, target = sides
    assert (len(source), len(target)) == (300, 300)  # the repeated and the blank lines are gone
    x, y = source.vectors(0, 300), target.vectors(0, 300)
    for retrieval in RETRIEVALS:
        expected = oracle(x, y, 4, "ratio", retrieval)
        pairs = mine(source, target, 4, "ratio", retrieval)  # type: ignore[arg-type]
        rows = list(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True))
        assert set(rows) == expected.keys()
        assert pairs.scores == pytest.approx([expected[row] for row in rows], abs=1e-5)
        assert pairs.scores.tolist() == sorted(pairs.scores, reverse=True)


@pytest.mark.parametrize("factory", ["HNSW16", "IVF8,SQ8", "IVF4,PQ8x4"])
def test_an_approximate_index_costs_little_f1(
    sides: tuple[Sentences, Sentences], tmp_path: Path, factory: str
) -> None:
    source, target = sides
    every = np.arange(300)
    by_word = {
        text.split()[-1]: id_
        for text, id_ in zip(source.texts(every), source.ids(every), strict=True)
    }
    gold = {
        (by_word[text.split()[-1]], id_)
        for text, id_ in zip(target.texts(every), target.ids(every), strict=True)
    }
    exact = quality(identified(mine(source, target), source, target), gold)
    one = with_factory(source, factory, tmp_path / "one.faiss")
    other = with_factory(target, factory, tmp_path / "other.faiss")
    near = quality(identified(mine(one, other), one, other), gold)
    assert exact.f1 > 0.9
    assert exact.f1 - near.f1 < 0.1


def test_deleted_sentences_are_not_mined(tmp_path: Path) -> None:
    source, target = heaps(tmp_path, 40)
    built(tmp_path / "s.index", source).folder.close()
    delete_documents(tmp_path / "s.index", ["1", "7"], HashEncoder(64))
    one = live_sentences(IndexFolder.open(tmp_path / "s.index", HashEncoder(64)))
    other = built(tmp_path / "t.index", target)
    assert len(one) == 38
    pairs = mine(one, other)
    assert not {"1", "7"} & set(one.ids(pairs.source))
    x, y = one.vectors(0, 38), other.vectors(0, 40)
    expected = oracle(x, y, 4, "ratio", "max")
    assert set(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)) == expected.keys()


def test_two_encoders_are_not_compared(sides: tuple[Sentences, Sentences], tmp_path: Path) -> None:
    documents = [Document("1", "one sentence")]
    build_index(tmp_path / "other.index", documents, HashEncoder(32))
    other = live_sentences(IndexFolder.open(tmp_path / "other.index"))
    with pytest.raises(ConfigError, match="vectors of two encoders cannot be compared"):
        mine(sides[0], other)


def test_pairs_are_written_best_first_with_their_texts(sides: tuple[Sentences, Sentences]) -> None:
    source, target = sides
    pairs = mine(source, target)
    out = io.StringIO()
    write_pairs(out, pairs, source, target, ids=True)
    rows = [line.split("\t") for line in out.getvalue().splitlines()]
    assert len(rows) == len(pairs) and {len(row) for row in rows} == {5}
    assert [float(row[0]) for row in rows] == pytest.approx(pairs.scores, abs=1e-6)
    lines = dict(read_sentences(source.folder.path.parent / "source.txt"))
    assert all(lines[row[1]] == row[3] for row in rows)


def test_sentences_are_read_with_or_without_ids(tmp_path: Path) -> None:
    file = tmp_path / "s.txt"
    file.write_text("a\tone\n\nb\ttwo\n", "utf-8")
    assert list(read_sentences(file, ids=True)) == [("a", "one"), ("b", "two")]
    assert [key for key, _ in read_sentences(file)] == ["1", "3"]
    file.write_text("one\n", "utf-8")
    with pytest.raises(DocumentError, match=r"s\.txt:1: `id TAB sentence` is expected"):
        list(read_sentences(file, ids=True))
    assert first_of_each([("1", "x"), ("2", "y"), ("3", "x")]).tolist() == [True, True, False]
    with pytest.raises(DocumentError, match="is there one sentence a line"):
        list(as_documents([("1", "x" * (LONGEST + 1))], [True], ""))
