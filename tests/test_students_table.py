"""The table of students: reciprocal ranks worked out by hand, and what the Markdown shows."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.judged import Collection
from benchmarks.students import ROWS, reciprocal_rank, table
from indexer.schema import Document, Kind, Matrix

DIRECTIONS = {"east": (1.0, 0.0), "north": (0.0, 1.0), "between": (0.6, 0.8)}


class Compass:
    """Texts are directions."""

    name = fingerprint = "compass"
    dim = 2
    max_tokens = None

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [1 for _ in texts]

    def encode(self, texts: list[str], kind: Kind = "passage") -> Matrix:
        return np.array([DIRECTIONS[text.split(".")[0]] for text in texts], np.float32)


def test_the_first_relevant_document_counts() -> None:
    documents = [Document("e", "east"), Document("n", "", title="north"), Document("b", "between")]
    queries = {"1": "east", "2": "north", "3": "between", "4": "east"}
    qrels = {
        "1": {"e": 2},  # first: 1
        "2": {"e": 1},  # north, between, east: 1/3
        "3": {"n": 1, "e": 1},  # between, north: 1/2
        "4": {"e": 0},  # nothing is relevant: not counted
    }
    found = reciprocal_rank(Compass(), Collection("compass", documents, queries, qrels))  # type: ignore[arg-type]
    assert found == pytest.approx((1 + 1 / 3 + 1 / 2) / 3)


def test_every_figure_has_its_row() -> None:
    figures = dict.fromkeys(ROWS, 12.34) | {"dim": 256.0, "tatoeba.ces": 79.15}
    text = table({"default": figures, "other": figures})
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "| | default | other |"
    assert f"| {ROWS['AfriQA']} | 12.3 | 12.3 |" in lines and "| ces | 79.2 | 79.2 |" in lines


def test_a_figure_that_was_not_measured_is_left_open() -> None:
    old = dict.fromkeys(ROWS, 12.34) | {"dim": 256.0}
    del old["costra.ordered"]
    text = table({"old": old, "new": dict.fromkeys(ROWS, 56.78) | {"dim": 256.0}})
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "| Costra, mean without basic and modality | - | 56.8 |" in lines
