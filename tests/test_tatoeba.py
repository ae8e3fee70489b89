"""Translation accuracy, both ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from configs.errors import DocumentError
from eval.sentences.tatoeba import Accuracy, accuracy, macro, read_pairs
from indexer.vectors import unit_rows


def test_both_directions_worked_out_by_hand() -> None:
    source = unit_rows(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]))
    target = unit_rows(np.array([[1.0, 0.0], [0.2, 1.0], [0.0, 1.0]]))
    # sources 0 and 1 both take target 0, source 2 its own; targets 0 and 2 take their own, target 1 takes
    # source 2 (it is nearer to the second axis)
    found = accuracy("x/tatoeba.eng-ces.tsv.gz", source, target)
    assert found.name == "tatoeba.eng-ces"
    assert found.forward == pytest.approx(2 / 3)
    assert found.backward == pytest.approx(2 / 3)
    assert found.mean == pytest.approx(2 / 3)


def test_the_mean_gives_every_set_the_same_weight() -> None:
    found = macro([Accuracy("a", 1000, 1.0, 0.5, 0.75), Accuracy("b", 100, 0.5, 0.0, 0.25)])
    assert found == Accuracy("mean", 1100, 0.75, 0.25, 0.5)


def test_pairs_are_two_columns(tmp_path: Path) -> None:
    file = tmp_path / "pairs.tsv"
    file.write_text("A dog.\tPes.\nA cat.\tKočka.\n", "utf-8")
    assert read_pairs(str(file)) == (["A dog.", "A cat."], ["Pes.", "Kočka."])
    assert read_pairs(str(file), ["2", "1"])[0] == ["Pes.", "Kočka."]
    file.write_text("A dog.\n", "utf-8")
    with pytest.raises(DocumentError, match=r"pairs\.tsv:1: 2 columns"):
        read_pairs(str(file))
