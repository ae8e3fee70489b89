"""Paraphrases by a threshold on cosine; Costra's judgments."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from configs.errors import DocumentError
from eval.sentences import costra
from eval.sentences.encoding import encoded
from eval.sentences.paraphrase import best_threshold, detect, paraphrases, read_labelled
from indexer.encoders.hash_encoder import HashEncoder
from indexer.vectors import unit_rows

COSINE = np.array([0.9, 0.85, 0.7, 0.6, 0.2])
SAME = np.array([True, False, True, True, False])


def test_detection_worked_out_by_hand() -> None:
    found = detect(COSINE, SAME, 0.8)  # two called, one right, three are the same
    assert (found.accuracy, found.precision) == (0.4, 0.5)
    assert found.recall == pytest.approx(1 / 3)
    assert found.f1 == pytest.approx(0.4)
    nothing = detect(COSINE, SAME, 0.95)
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.accuracy) == (0, 0, 0, 0.4)


def test_the_best_threshold_lies_midway() -> None:
    # F1 by pairs called: 2/4, 2/5, 4/6, 6/7, 6/8
    assert best_threshold(COSINE, SAME) == pytest.approx(0.4)
    # equal cosines are called together: 0.5 twice, one of them right
    assert best_threshold(np.array([0.5, 0.5, 0.1]), np.array([True, False, False])) == 0.3
    assert best_threshold(np.array([0.5]), np.array([True])) == 0.5
    with pytest.raises(DocumentError, match="no pair is labelled 1"):
        best_threshold(COSINE, np.zeros(5, dtype=bool))


def test_the_figures_of_a_set() -> None:
    found = paraphrases(COSINE, SAME)
    assert (found.pairs, found.positives, found.chosen_on) == (5, 3, "the measured pairs")
    assert found.mean_cosine_same == pytest.approx(2.2 / 3)
    assert found.mean_cosine_other == pytest.approx(0.525)
    assert found.best.f1 == pytest.approx(6 / 7)
    elsewhere = paraphrases(COSINE, SAME, (np.array([0.7, 0.5]), np.array([True, False])))
    assert (
        elsewhere.best.threshold == pytest.approx(0.6) and elsewhere.chosen_on == "training pairs"
    )
    only = paraphrases(np.array([0.5, 0.7]), np.array([True, True]))
    assert only.mean_cosine_other is None and only.best.f1 == 1.0


def test_labelled_pairs_are_read(tmp_path: Path) -> None:
    file = tmp_path / "pairs.tsv"
    file.write_text("a\tb\t1\nc\td\t0\n", "utf-8")
    assert read_labelled(str(file)).same == (True, False)
    file.write_text("a\tb\t1\nc\td\t0.7\n", "utf-8")
    with pytest.raises(DocumentError, match=r"pairs\.tsv:2: the label must be 0 or 1, not '0.7'"):
        read_labelled(str(file))


ROWS = """\
0\t1\tseed\tA\tA\t\t\t\t
1\t1\tparaphrase\tB\tB\t\t\t\t
2\t1\tnonsense\tC\tC\t\t\t\t
3\t1\tpast\tD\tD\t1\t2\t\t
4\t1\tfuture\tE\tE\t\t\t0\t2
"""


def test_costra_judgments_worked_out_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "costra.tsv"
    file.write_text(ROWS, "utf-8")
    sentences = costra.read(file)
    found = costra.comparisons(sentences)
    assert found["basic"] == [(0, 1, 0, 2)]  # the paraphrase before the nonsense
    # D lies between B and C: nearer to each than they to each other; E nearer to A than to C
    assert found["time"] == [(3, 1, 1, 2), (3, 2, 1, 2), (4, 0, 4, 2)]
    assert found["style"] == []
    angles = np.radians([0, 10, 60, 30, 40])
    vectors = unit_rows(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    scored = costra.score(sentences, vectors)
    # B 10 from A, C 60; D to B 20 and to C 30, B to C 50; E to A 40 but to C 20
    assert scored.categories["basic"] == 1.0
    assert scored.categories["time"] == pytest.approx(2 / 3)
    assert scored.mean_of_six == pytest.approx((1 + 2 / 3) / 6)
    # time alone of time, style, generalization and opposite_meaning
    assert scored.mean_without_basic_and_modality == pytest.approx(2 / 3 / 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("0\t1\tseed\tA\n", r":1: Costra's rows have 5 to 9 columns, here are 4"),
        ("0\tx\tseed\tA\tA\n", r":1: numbers are expected"),
        ("1\t1\tseed\tA\tA\n", r":1: sentence 0 is expected, not 1"),
        ("0\t1\tseed\tA\tA\t7\n", r":1: there is no sentence 7"),
    ],
)
def test_faulty_costra_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "costra.tsv"
    file.write_text(text, "utf-8")
    with pytest.raises(DocumentError, match=message):
        costra.read(file)


def test_figures_are_those_of_the_costra_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("costra")
    data = costra.bundled()
    # it imports pkg_resources, which setuptools has dropped, to find a file that is named here
    monkeypatch.setitem(sys.modules, "pkg_resources", types.ModuleType("pkg_resources"))
    from costra import costra as package

    # the first part, which judges only itself: the whole takes their evaluator many seconds
    first = tmp_path / "costra.tsv"
    lines = data.read_text("utf-8").splitlines(keepends=True)
    first.write_text("".join(lines[:379]), "utf-8")
    theirs = package.CostraEvaluator(str(first))
    sentences = costra.read(first)
    vectors = encoded(HashEncoder(64), [one.tokens for one in sentences])
    ours = costra.score(sentences, vectors)
    for name, value in theirs.evaluate(vectors).items():
        if name == "costra":  # a mean of rounded figures, rounded
            assert ours.mean_of_six == pytest.approx(value, abs=0.001)
        else:
            assert round(ours.categories[name], 3) == value
