"""Linear probes on frozen vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from configs.errors import DocumentError
from eval.sentences.classification_head import RATES, head_probe
from eval.sentences.multilabel import multilabel_probe, read_multilabel
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


def test_several_labels_a_text_are_told_at_a_threshold_that_is_chosen() -> None:
    random = np.random.default_rng(2)
    truth = random.random((300, 3)) < (0.5, 0.3, 0.1)
    vectors = unit_rows((truth + 0.5) @ AXES + 0.02 * random.standard_normal((300, 3)))
    labels = [frozenset(name for name, has in zip("abc", row, strict=True) if has) for row in truth]
    found = multilabel_probe(vectors, labels, strength=1000.0)
    assert found.texts == 300 and len(found.folds) == 5 and list(found.labels) == ["a", "b", "c"]
    assert found.micro_f1 > 0.95 and 0.1 < found.threshold < 0.9
    # the floor by hand: "a" is given to all
    given, right = 300, found.labels["a"]
    assert found.majority == pytest.approx(2 * right / (given + sum(found.labels.values())))
    noise = multilabel_probe(unit_rows(random.standard_normal((300, 3))), labels)
    assert noise.micro_f1 < 0.7 and noise.threshold < 0.5  # unsure: many labels are given
    assert found == multilabel_probe(vectors, labels, strength=1000.0)


def test_labels_are_divided_by_a_separator(tmp_path: Path) -> None:
    file = tmp_path / "topics.tsv"
    file.write_text("sport; news\tone\n;\ttwo\nnews\tthree\n", "utf-8")
    found = read_multilabel(str(file), ";")
    assert found.labels == (frozenset({"sport", "news"}), frozenset(), frozenset({"news"}))
    file.write_text("news\tone\nnews\ttwo\n", "utf-8")
    with pytest.raises(DocumentError, match="1 label in all"):
        read_multilabel(str(file))
    with pytest.raises(DocumentError, match="too few for 5 folds"):
        multilabel_probe(np.eye(4, dtype=np.float32), [frozenset("a")] * 4)


def test_a_head_learns_its_classes_and_its_rate_is_chosen() -> None:
    random = np.random.default_rng(4)
    vectors = random.standard_normal((600, 8)).astype(np.float32)
    labels = ["left" if first < 0 else "right" for first in vectors[:, 0]]
    found = head_probe(vectors, labels, folds=3)
    assert found.macro_f1 > 0.85
    assert found.rate == max(RATES, key=lambda rate: found.by_rate[f"{rate:g}"])
    assert len(found.folds) == 3 and set(found.classes) == {"left", "right"}
    assert head_probe(vectors, labels, folds=3) == found  # to the bit
    noise = head_probe(vectors, random.permutation(labels).tolist(), folds=3)
    assert noise.macro_f1 < 0.6
    with pytest.raises(DocumentError, match="too few for 10 folds"):
        head_probe(vectors[:19], labels[:19])
