"""Measures have the values that the definitions give by hand."""

from __future__ import annotations

import math
import random
import shutil
import warnings

import pytest

from configs.errors import ConfigError
from eval.ranking.metrics import measure_run, parse_measures, seznam_precision

QRELS = {"1": {"a": 2, "b": 0, "c": 1}, "2": {"z": 1}, "3": {"y": 0}}
RUN = {"1": [("x", 9.0), ("a", 8.0), ("b", 7.0), ("c", 6.0)], "2": [("y", 1.0)]}


def values(name: str) -> dict[str, float]:
    measures = parse_measures([name])
    (found,) = measure_run(measures, QRELS, RUN).values()
    return found


@pytest.mark.parametrize(
    ("name", "first"),
    [
        # ranks: x unjudged, a grade 2, b grade 0, c grade 1
        ("nDCG@10", (2 / math.log2(3) + 1 / math.log2(5)) / (2 + 1 / math.log2(3))),
        ("AP", (1 / 2 + 2 / 4) / 2),
        ("RR", 1 / 2),
        ("R@2", 1 / 2),
        ("P@4", 2 / 4),
        ("P(rel=2)@4", 1 / 4),
        ("Judged@4", 3 / 4),
        # a stands above b, the one judged irrelevant; c below: 1 of min(1, 2) irrelevant ones
        ("Bpref", (1 + 0) / 2),
        ("RBP(rel=1,p=0.8)", 0.2 * (0.8 + 0.8**3)),
        ("Success@1", 0.0),
    ],
)
def test_measures_worked_out_by_hand(name: str, first: float) -> None:
    found = values(name)
    assert found["1"] == pytest.approx(first)
    assert found.keys() == QRELS.keys()


def test_a_query_that_the_run_lacks_or_that_has_no_relevant_document_counts_nothing() -> None:
    found = values("nDCG@10")
    assert (found["2"], found["3"]) == (0.0, 0.0)


def test_the_order_decides_and_not_the_score() -> None:
    tied = {"1": [("a", 1.0), ("x", 1.0), ("c", 1.0)]}
    turned = {"1": [("x", 1.0), ("a", 1.0), ("c", 1.0)]}
    measures = parse_measures(["RR", "Judged@1"])
    first, second = (measure_run(measures, {"1": QRELS["1"]}, run) for run in (tied, turned))
    assert (first["RR"]["1"], first["Judged@1"]["1"]) == (1.0, 1.0)
    assert (second["RR"]["1"], second["Judged@1"]["1"]) == (0.5, 0.0)


@pytest.mark.skipif(shutil.which("perl") is None, reason="ERR is computed by a Perl program")
def test_ids_that_a_provider_would_mistake_are_told_apart() -> None:
    # gdeval takes the last number of an id for the query, and splits its files at blanks
    qrels = {"cs-1": {"a b": 1, "c": 0}, "en-1": {"a b": 1, "c": 0}, "q": {"c": 1}}
    run = {"cs-1": [("a b", 2.0), ("c", 1.0)], "en-1": [("c", 2.0), ("a b", 1.0)]}
    (found,) = measure_run(parse_measures(["ERR@10"]), qrels, run).values()
    assert found == pytest.approx({"cs-1": 1 / 16, "en-1": 1 / 32, "q": 0.0}, abs=1e-5)
    with pytest.raises(ConfigError, match="grades up to 4, and the highest here is 5"):
        measure_run(parse_measures(["ERR@10"]), {"1": {"a": 5}}, {"1": [("a", 1.0)]})


def test_a_query_with_negative_grades_alone_counts_nothing() -> None:
    # trec_eval's nDCG reads beside its memory there, and now and then never ends
    for _ in range(200):
        measures = parse_measures(["nDCG@10", "nDCG"])
        for found in measure_run(measures, {"1": {"a": -1}, "2": {"b": -2}}, RUN).values():
            assert found == {"1": 0.0, "2": 0.0}


def test_a_negative_grade_gains_nothing_beside_others() -> None:
    measures = parse_measures(["nDCG@10"])
    (found,) = measure_run(measures, {"1": {"x": -2, "a": 1}}, RUN).values()
    assert found["1"] == pytest.approx(1 / math.log2(3))


def test_scores_that_differ_beyond_32_bits_keep_their_order() -> None:
    run = {"1": [("a", 1.0 + 1e-12), ("z", 1.0)]}
    assert measure_run(parse_measures(["RR"]), {"1": {"a": 1}}, run)["RR"]["1"] == 1.0


def test_a_smallest_relevant_grade_is_put_where_none_is_named() -> None:
    names = parse_measures(["AP", "P(rel=1)@5", "nDCG@10", "RBP"], relevant_from=3)
    assert list(names) == ["AP(rel=3)", "P@5", "nDCG@10", "RBP(rel=3)"]  # 1 is P's own
    assert list(parse_measures(["AP", "RBP", "AP"])) == ["AP", "RBP(rel=1)"]


def test_wrong_measures_are_named_together() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_measures(["ndgc@10", "P@ten", "nDCG@10", "P(colour=3)@5"])
    message = str(caught.value)
    assert "did you mean nDCG?" in message
    assert "'P@ten'" in message and "'P(colour=3)@5'" in message


def test_a_measure_whose_package_is_missing_names_the_package() -> None:
    with pytest.raises(ConfigError, match=r"needs a package.*pip install"):
        parse_measures(["alpha_nDCG@10"])


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        # three judged: all three are taken, two have a label above 0.5
        ([0.1, 0.9, 0.5], [0.75, 1.0, 0.5], 2 / 3),
        # twelve judged, the two lowest fall out, one of them relevant: 1 of 10
        (list(range(12, 0, -1)), [1.0] + [0.5] * 9 + [1.0, 0.0], 1 / 10),
        # exactly 0.5 is not relevant
        ([1.0, 2.0], [0.5, 0.5], 0.0),
        ([1.0], [1.0], 1.0),
        ([], [], 0.0),
    ],
)
def test_seznam_precision_by_hand(
    scores: list[float], labels: list[float], expected: float
) -> None:
    ids = [f"{row:02}" for row in range(len(scores))]
    assert seznam_precision(scores, labels, ids) == pytest.approx(expected)


def test_seznam_precision_breaks_ties_by_id() -> None:
    # eleven equal scores: the highest id falls out, and it is the relevant one
    ids = [f"{row:02}" for row in range(11)]
    assert seznam_precision([1.0] * 11, [0.0] * 10 + [1.0], ids) == 0.0
    assert seznam_precision([1.0] * 11, [1.0] + [0.0] * 10, ids) == 0.1


def test_seznam_precision_is_torchmetrics_retrieval_precision() -> None:
    """Their script: RetrievalMetric over queries, targets > 0.5, k = min(10, n), empty queries 0.

    torchmetrics' RetrievalPrecision(top_k=10, adaptive_k=True) is that for positive scores.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torchmetrics = pytest.importorskip("torchmetrics.retrieval")
        import torch
    draw = random.Random(7)
    rows = [
        (query, draw.random() + 0.01, draw.choice([0.0, 0.25, 0.5, 0.75, 1.0]))
        for query in range(40)
        for _ in range(draw.randint(1, 25))
    ]
    rows += [(40, 0.5, 0.0), (40, 0.7, 0.5)]  # nothing relevant
    theirs = torchmetrics.RetrievalPrecision(top_k=10, adaptive_k=True, empty_target_action="neg")
    theirs.update(
        torch.tensor([score for _, score, _ in rows]),
        torch.tensor([label for _, _, label in rows]) > 0.5,
        torch.tensor([query for query, _, _ in rows]),
    )
    ours = []
    for number in range(41):
        mine = [(score, label) for query, score, label in rows if query == number]
        ids = [str(place) for place in range(len(mine))]
        ours.append(seznam_precision([s for s, _ in mine], [y for _, y in mine], ids))
    assert sum(ours) / len(ours) == pytest.approx(float(theirs.compute()), abs=1e-6)
