"""Linear probes on frozen vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from configs.errors import DocumentError
from eval.sentences.probe import cross_validated, held_out, read_classified
from indexer.schema import Matrix
from indexer.vectors import unit_rows

AXES = np.eye(3)


def clusters(each: int, spread: float = 0.1) -> tuple[Matrix, list[str]]:
    """`each` vectors near each of three axes."""
    random = np.random.default_rng(1)
    labels = ["a", "b", "c"] * each
    base = np.tile(AXES, (each, 1))
    return unit_rows(base + spread * random.standard_normal(base.shape)), labels


def test_classes_that_a_line_divides_are_told_apart() -> None:
    vectors, labels = clusters(20)
    found = cross_validated(vectors, labels, folds=4)
    assert len(found.folds) == 4 and found.texts == 60
    assert (found.macro_f1, found.accuracy, found.macro_f1_deviation) == (1.0, 1.0, 0.0)
    assert found.majority == pytest.approx(1 / 3) and found.classes == {"a": 20, "b": 20, "c": 20}


def test_the_same_seed_gives_the_same_figures() -> None:
    vectors, labels = clusters(20, spread=1.5)
    one = cross_validated(vectors, labels, seed=3)
    assert one == cross_validated(vectors, labels, seed=3)
    assert one != cross_validated(vectors, labels, seed=4)
    assert one.macro_f1 == pytest.approx(np.mean([fold.macro_f1 for fold in one.folds]))


def test_macro_f1_worked_out_by_hand() -> None:
    train, labels = clusters(20)
    # said a a b c for a b b c: F1 of a 2/3, of b 2/3, of c 1
    test = AXES[[0, 0, 1, 2]].astype(np.float32)
    found = held_out(train, labels, test, ["a", "b", "b", "c"])
    assert found.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert found.accuracy == 0.75 and found.majority == 0.5


def test_a_probe_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    vectors, labels = clusters(2)
    with pytest.raises(DocumentError, match=r"the class 'a' has 2 texts, fewer than the 5 folds"):
        cross_validated(vectors, labels)
    with pytest.raises(DocumentError, match="the test labels d stand nowhere"):
        held_out(vectors, labels, vectors[:1], ["d"])
    file = tmp_path / "one.tsv"
    file.write_text("a\ttext\na\tother text\n", "utf-8")
    with pytest.raises(DocumentError, match=r"one\.tsv: every label is 'a'; a probe needs two"):
        read_classified(str(file))
    file.write_text("a\ttext\nb\t\n", "utf-8")
    with pytest.raises(DocumentError, match=r"one\.tsv:2: no text in text"):
        read_classified(str(file))
    file.write_text("a\ttext\nb\tother\n", "utf-8")
    assert read_classified(str(file)).labels == ("a", "b")
