"""Fine-tuning on graded relevance: precision rises on queries never seen; files are checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from training_world import tiny, write_judged

from configs.errors import ConfigError, DocumentError
from configs.training import RelevanceSettings, RunSettings
from training.recipes.relevance import Judged, precision_at_10, read_judged, relevance


@pytest.mark.parametrize(
    ("loss", "pairs"),
    [("cosine", False), ("cosine", True), ("margin", False), ("margin_mse", False)],
)
def test_precision_rises_on_queries_never_seen(tmp_path: Path, loss: str, pairs: bool) -> None:
    """A relevant document names other things of the query's topic, and nothing of the query itself."""
    settings = RelevanceSettings(
        student=tiny(tmp_path),
        train=str(write_judged(tmp_path / "train.tsv", 60)),
        held_out=str(write_judged(tmp_path / "dev.tsv", 20, seed=5)),
        loss=loss,  # type: ignore[arg-type]
        pairs=pairs,
        run=RunSettings(
            steps=50,
            batch_size=64 if pairs else 8,
            learning_rate=1e-3,
            evaluate_every=25,
            checkpoint_every=50,
            device="cpu",
        ),
    )
    result = relevance(settings, tmp_path / "run")
    assert result.metric == "P@10"
    assert result.before is not None and result.score is not None
    assert result.before < 0.5
    assert result.score > 0.75
    documents = sum(len(one.documents) for one in read_judged(settings.train))
    assert result.examples == (documents if pairs else 60)


def test_pairs_have_no_other_document_to_be_held_against() -> None:
    with pytest.raises(ValueError, match="with pairs take cosine"):
        RelevanceSettings(pairs=True, loss="margin")


def test_precision_at_10_is_the_papers() -> None:
    """Ten of twelve documents are looked at; a query with three has them all; 0.5 is not relevant."""
    judged = [
        Judged("a", tuple("abcdefghijkl"), (1.0, 0.75, 0.5, *[0.0] * 7, 1.0, 1.0)),
        Judged("b", tuple("xyz"), (0.0, 1.0, 0.25)),
    ]
    queries = np.array([[1.0, 0.0], [0.0, 1.0]])
    falling = np.linspace(0, 1, 12)  # the two last documents are the farthest
    documents = np.stack([np.cos(falling), np.sin(falling)], axis=1)
    documents = np.concatenate([documents, np.eye(3, 2)])
    assert precision_at_10(judged, queries, documents) == pytest.approx((2 / 10 + 1 / 3) / 2)


HEADER = "ID\tquery\turl\tdoc\ttitle\tlabel\n"


def test_records_of_one_query_come_together_with_quotes_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text(
        f'{HEADER}1\tq\tu\t"a" doc\tt\t0.25\n2\tr\tu\tb\tt\t1\n3\tq\tu\tc\tt\t0\n', "utf-8"
    )
    assert read_judged(str(path)) == [
        Judged("q", ('"a" doc', "c"), (0.25, 0.0)),
        Judged("r", ("b",), (1.0,)),
    ]
    assert len(read_judged(str(path), limit=2)) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ID\tquery\tdoc\n", "line 1: the columns label are missing"),
        (f"{HEADER}1\tq\tu\td\t0.5\n", "line 2: 5 columns, where the header has 6"),
        (f"{HEADER}1\t \tu\td\tt\t0.5\n", "line 2: the query is empty"),
        (f"{HEADER}1\tq\tu\t\tt\t0.5\n", "line 2: the doc is empty"),
        (f"{HEADER}1\tq\tu\td\tt\tgood\n", "line 2: label 'good' is no number from 0 to 1"),
        (f"{HEADER}1\tq\tu\td\tt\t3\n", "line 2: label '3' is no number from 0 to 1"),
        (HEADER, "there is no record in it"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "train.tsv"
    path.write_text(text, "utf-8")
    with pytest.raises(DocumentError, match=words):
        read_judged(str(path))


def test_queries_of_the_held_out_file_are_not_trained_on(tmp_path: Path) -> None:
    path = str(write_judged(tmp_path / "train.tsv", 3))
    settings = RelevanceSettings(student=tiny(tmp_path), train=path, held_out=path)
    with pytest.raises(ConfigError, match="every query is also in the held-out file"):
        relevance(settings, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"\(not given\): no such file"):
        relevance(RelevanceSettings(student=tiny(tmp_path)), tmp_path / "run")
