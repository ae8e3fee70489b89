"""Relevance is measured through the retriever, in two tasks that are never mixed."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError, DocumentError
from eval.formats.judgments import Judgments, read_judgments
from eval.formats.topics import Topic
from eval.ranking.comparison import compare, losses, table
from eval.ranking.metrics import SEZNAM, parse_measures
from eval.ranking.relevance import (
    System,
    check_run,
    join_index,
    measure_system,
    measures_for,
    rerank,
    resampled,
    retrieve,
)
from eval.ranking.slices import coverage, reach, slices, unjudged
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document
from retriever.retriever import Retriever

TEXTS = {
    "apple": "An apple a day keeps the doctor away.",
    "bread": "Bread is baked from flour, water and salt.",
    "cheese": "Cheese is made from milk and salt.",
    "dough": "Dough of flour and water rises before bread is baked.",
    "engine": "An engine turns fuel into motion.",
}
QUERIES = {"q1": Topic("q1", "bread from flour", "en"), "q2": Topic("q2", "fuel engine", "en")}


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    path = tmp_path_factory.mktemp("relevance") / "index"
    documents = [
        Document(name, text, name.title(), f"http://x/{name}", "en") for name, text in TEXTS.items()
    ]
    build_index(path, documents, HashEncoder(64))
    return Retriever.open(path)


def judged(**changes: object) -> Judgments:
    qrels = {"q1": {"bread": 2, "dough": 1, "engine": 0}, "q2": {"engine": 1}}
    values: dict[str, object] = {"qrels": qrels, "queries": QUERIES, **changes}
    return Judgments("test", "trec", **values)  # type: ignore[arg-type]


def test_retrieval_is_what_the_retriever_ranks(retriever: Retriever) -> None:
    run = retrieve(retriever, QUERIES, depth=3)
    texts = [query.text for query in QUERIES.values()]
    assert list(run.values()) == retriever.rank(texts, depth=3)
    assert run["q2"][0][0] == "engine"


def test_reranking_orders_the_judged_documents_and_no_others(retriever: Retriever) -> None:
    run = rerank(retriever, QUERIES, {"q1": ["engine", "bread", "apple"], "q2": ["dough"]})
    assert run["q1"][0][0] == "bread"
    assert {name for name, _ in run["q1"]} == {"engine", "bread", "apple"}
    scores = retriever.score("bread from flour", ["engine", "bread", "apple"])
    assert dict(run["q1"]) == dict(zip(["engine", "bread", "apple"], scores.tolist(), strict=True))


def test_equal_scores_go_by_id(retriever: Retriever) -> None:
    # in words alone, neither document has anything of the query: two zeros
    run = rerank(retriever, QUERIES, {"q1": ["engine", "apple"]}, mode="lexical")
    assert run["q1"] == [("apple", 0.0), ("engine", 0.0)]


def test_figures_have_judged_at_k_beside_every_cutoff() -> None:
    assert list(measures_for(judged(), "retrieve", ["R@100", "AP"])) == [
        "R@100",
        "AP",
        "Judged@10",
        "Judged@100",
    ]
    assert "Judged@10" not in measures_for(judged(), "rerank")


def test_dareczech_precision_belongs_to_reranking(tmp_path: Path) -> None:
    file = tmp_path / "d.tsv"
    file.write_text(
        "ID\tquery\turl\tdoc\ttitle\tlabel\n1\tbread\thttp://x/bread\td\tt\t1\n", "utf-8"
    )
    judgments = read_judgments(file)
    assert next(iter(measures_for(judgments, "rerank"))) == SEZNAM
    assert list(measures_for(judgments, "rerank", ["AP", SEZNAM])) == ["AP(rel=3)", SEZNAM]
    with pytest.raises(DocumentError, match="--task rerank"):
        measures_for(judgments, "retrieve", [SEZNAM])
    with pytest.raises(DocumentError, match="needs a DaReCzech file"):
        measures_for(judged(), "rerank", [SEZNAM])


def test_dareczech_precision_through_an_index_by_hand(tmp_path: Path, retriever: Retriever) -> None:
    file = tmp_path / "d.tsv"
    rows = [
        ("bread from flour", "bread", "1"),
        ("bread from flour", "dough", "0.5"),
        ("bread from flour", "engine", "0.75"),
        ("apple", "apple", "0.25"),
    ]
    lines = [
        f"{n}\t{query}\thttp://x/{name}\td\tt\t{label}"
        for n, (query, name, label) in enumerate(rows, start=1)
    ]
    file.write_text("\n".join(["ID\tquery\turl\tdoc\ttitle\tlabel", *lines]) + "\n", "utf-8")
    known = join_index(read_judgments(file), retriever.collection)
    # numbers are no ids here and addresses are: the index calls the document "bread"
    assert known.judgments.qrels == {
        "q1": {"bread": 4, "dough": 2, "engine": 3},
        "q2": {"apple": 1},
    }
    assert known.judgments.notes == ("the documents were told by the column the documents' url",)
    run = rerank(
        retriever,
        known.judgments.queries,
        {query: list(grades) for query, grades in known.judgments.qrels.items()},
    )
    measures = measures_for(known.judgments, "rerank")
    system = measure_system("x", "rerank", run, known.judgments, measures)
    # three judged, two of them above 0.5; the second query has nothing relevant
    assert system.values[SEZNAM] == {"q1": pytest.approx(2 / 3), "q2": 0.0}


def test_few_unknown_documents_are_counted_and_many_are_refused(retriever: Retriever) -> None:
    known = join_index(
        judged(qrels={"q1": {"bread": 1, "ghost": 1}}), retriever.collection, limit=0.5
    )
    assert known.notes == (
        "1 of 2 judged documents are not in the index ('ghost'); they count as not found",
    )
    assert known.documents.keys() == {"bread"}
    with pytest.raises(DocumentError, match=r"1 of 2 judged.*--max-unknown"):
        join_index(judged(qrels={"q1": {"bread": 1, "ghost": 1}}), retriever.collection, limit=0.4)
    with pytest.raises(DocumentError, match="none of its 1 judged documents is in the index"):
        join_index(judged(qrels={"q1": {"ghost": 1}}), retriever.collection, limit=1.0)


def test_runs_of_something_else_are_refused(retriever: Retriever) -> None:
    folder = retriever.collection
    with pytest.raises(DocumentError, match="none of the 2 judged queries"):
        check_run({"other": [("bread", 1.0)]}, judged(), "r", folder)
    with pytest.raises(DocumentError, match="looks like a run from another index"):
        check_run({"q1": [("x", 2.0), ("y", 1.0)]}, judged(), "r", folder)
    with pytest.raises(DocumentError, match="none of its 1 documents is judged"):
        check_run({"q1": [("x", 2.0)]}, judged(), "r", None)
    notes = check_run({"q1": [("bread", 1.0)], "more": []}, judged(), "r", folder)
    assert notes == (
        "r lacks 1 of 2 judged queries, which count 0 ('q2')",
        "r: 1 queries without judgments left out",
    )


def measured(name: str, run: dict[str, list[tuple[str, float]]]) -> System:
    return measure_system(name, "retrieve", run, judged(), parse_measures(["RR", "P@1"]))


BASE = {"q1": [("bread", 2.0), ("apple", 1.0)], "q2": [("apple", 2.0), ("engine", 1.0)]}
OTHER = {"q1": [("apple", 2.0), ("dough", 1.0)], "q2": [("engine", 1.0)]}


def test_systems_are_held_against_the_first() -> None:
    first, second = measured("a", BASE), measured("b", OTHER)
    assert [row.means["RR"].mean for row in table([first, second])] == [0.75, 0.75]
    by_rr, by_p = compare([first, second])
    assert (by_rr.base, by_rr.other, by_rr.difference.mean) == ("a", "b", 0.0)
    assert (by_rr.wins, by_rr.ties, by_rr.losses) == (1, 0, 1)
    assert not by_p.significant
    assert losses(first, second, "RR") == [("q1", 1.0, 0.5)]


def test_tasks_are_not_compared_with_each_other() -> None:
    other = measure_system("b", "rerank", OTHER, judged(), parse_measures(["RR"]))
    with pytest.raises(DocumentError, match="cannot be compared"):
        compare([measured("a", BASE), other])


def test_slices_by_hand() -> None:
    systems = [measured("a", BASE), measured("b", OTHER)]
    queries = {"q1": Topic("q1", "one two three"), "q2": Topic("q2", "one")}
    found = slices(
        systems,
        "RR",
        queries,
        {"q1": "en", "q2": "cs"},
        {"q1": frozenset({"en"}), "q2": frozenset({"en", "cs"})},
    )
    assert [(s.by, s.value, s.queries, s.means) for s in found] == [
        ("query language", "cs", 1, {"a": 0.5, "b": 1.0}),
        ("query language", "en", 1, {"a": 1.0, "b": 0.5}),
        ("relevant documents", "in the query's and other languages", 1, {"a": 0.5, "b": 1.0}),
        ("relevant documents", "in the query's language", 1, {"a": 1.0, "b": 0.5}),
        ("query length", "1 to 2 words", 1, {"a": 0.5, "b": 1.0}),
        ("query length", "3 to 5 words", 1, {"a": 1.0, "b": 0.5}),
    ]


def test_reach_counts_relevant_documents_by_language() -> None:
    languages = {"q1": "en", "q2": "en"}
    tongues = {"bread": "en", "dough": "cs", "engine": "en"}
    found = reach([measured("a", BASE)], judged().qrels, 1, languages, tongues, k=1)
    # bread is first for q1; engine is only second for q2, dough nowhere
    assert [(r.query_language, r.document_language, r.relevant, r.found["a"]) for r in found] == [
        ("any", "the same", 2, 0.5),
        ("any", "another", 1, 0.0),
        ("en", "en", 2, 0.5),
        ("en", "cs", 1, 0.0),
    ]


def test_coverage_and_what_to_judge_next_by_hand() -> None:
    systems = [measured("a", BASE), measured("b", OTHER)]
    (first, second) = coverage(systems, judged().qrels, 1, k=2)
    assert (first.shown, first.judged, first.relevant) == (4, 2, 2)
    assert (second.shown, second.judged, second.relevant) == (3, 2, 2)
    found = unjudged(systems, judged().qrels, k=2)
    # apple for q1: rank 2 in a, 1 in b: 1 / log2(3) + 1; for q2: rank 1 in a
    assert [(u.query_id, u.document_id, u.shown_by) for u in found] == [
        ("q1", "apple", {"a": 2, "b": 1}),
        ("q2", "apple", {"a": 1}),
    ]
    assert found[0].weight == pytest.approx(1 + 1 / 1.584962500721156)


def test_a_measure_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="'bogus' is no measure"):
        measures_for(judged(), "retrieve", ["bogus"])


def test_resampling_draws_pairs(tmp_path: Path) -> None:
    """Of a relevant and another pair two are drawn: both of one kind in half of the samples."""
    file = tmp_path / "judged.tsv"
    file.write_text("ID\tquery\turl\tdoc\ttitle\tlabel\na\tq\ta\tx\tx\t1\nb\tq\tb\tx\tx\t0\n")
    judgments = read_judgments(file)
    mean, deviation = resampled(judgments, {"q1": [("a", 2.0), ("b", 1.0)]}, 4000)
    assert mean == pytest.approx(0.5, abs=0.02)
    assert deviation == pytest.approx(0.125**0.5, abs=0.02)
    assert resampled(judgments, {}, 5, seed=1) == resampled(judgments, {}, 5, seed=1)
