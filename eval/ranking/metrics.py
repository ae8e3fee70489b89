"""Measures of rankings, from ir_measures (trec_eval's own code for most); and DaReCzech's P@10.

A figure depends on the order of a ranking alone: scores are replaced by falling numbers before they
reach a provider, because trec_eval rounds them to 32 bits and breaks ties by id from z to a, and other
providers do neither.
"""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from configs.errors import ConfigError, MissingExtra
from eval.formats.trec import GRADES, Run

__all__ = ["SEZNAM", "Measure", "measure_run", "parse_measures", "seznam_precision"]

SEZNAM = "SeznamP@10"
"""DaReCzech's precision, in tables and on the command line; it exists for re-ranking only."""

Measure = Any  # ir_measures.Measure, an optional package without types of its own


def _ir_measures() -> Any:
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtra("ir_measures", "eval", "measuring relevance") from error
    return ir_measures


def parse_measures(names: Sequence[str], relevant_from: int = 1) -> dict[str, Measure]:
    """ir_measures' objects by their canonical name, in the order given, repeats left out.

    A measure that takes a smallest relevant grade (`rel`) and does not name one gets `relevant_from`.
    Raises ConfigError naming every string that is no measure, or that no installed provider computes.
    """
    package = _ir_measures()
    measures: dict[str, Measure] = {}
    problems = []
    for name in names:
        try:
            measure = package.parse_measure(name)
            measure.validate_params()
        except (NameError, ValueError, AssertionError, SyntaxError, TypeError, KeyError) as error:
            problems.append(f"{name!r} is no measure{_nearest(name, package)} ({error})")
            continue
        free = "rel" in measure.SUPPORTED_PARAMS and "rel" not in measure.params
        # RBP has no default grade, and its one provider wants it said
        if free and (relevant_from != 1 or measure.NAME == "RBP"):
            measure = measure(rel=relevant_from)
        if not package.DefaultPipeline.supports(measure):
            problems.append(
                f"{name!r} needs a package that is not installed{_cure(measure, package)}"
            )
            continue
        measures[str(measure)] = measure
    if problems:
        raise ConfigError("; ".join(problems))
    return measures


def _nearest(name: str, package: Any) -> str:
    spelled = {
        name.lower(): entry.NAME
        for name, entry in vars(package.measures).items()
        if isinstance(entry, package.Measure)
    }
    stem = name.split("@")[0].split("(")[0]
    if stem in spelled.values():
        return ""
    near = difflib.get_close_matches(stem.lower(), spelled, n=1)
    return f"; did you mean {spelled[near[0]]}?" if near else ""


def _cure(measure: Measure, package: Any) -> str:
    lines = (
        provider.install_instructions()
        for provider in package.providers.registry.values()
        if provider.supports(measure) and not provider.is_available()
    )
    cure = next((line for line in lines if line), "")
    return f": {cure}" if cure else ""


def measure_run(
    measures: Mapping[str, Measure], qrels: Mapping[str, Mapping[str, int]], run: Run
) -> dict[str, dict[str, float]]:
    """measure name -> query id -> value, for every judged query; one the run lacks counts 0.

    Queries without judgments are not looked at. Ranks come from the order in `run`. Raises ConfigError
    for grades that a measure's provider does not take (gdeval's ERR@k: none above 4).
    """
    package = _ir_measures()
    # Ids are replaced by numbers: gdeval takes the last number of "cs-1" and "en-1" for the query, and
    # a blank in an id would shift the columns of the files that it reads.
    numbers = {query: str(at) for at, query in enumerate(qrels, start=1)}
    plain: dict[str, dict[str, int]] = {}
    ordered: dict[str, dict[str, float]] = {}
    for query, number in numbers.items():
        ids: dict[str, str] = {}  # document -> its number in this query
        # trec_eval's nDCG reads beside its memory, and may never end, where no grade is 0 or more
        floor = 0 if max(qrels[query].values(), default=0) < 0 else GRADES[0]
        plain[number] = {_number(ids, name): max(g, floor) for name, g in qrels[query].items()}
        if ranking := run.get(query):
            ordered[number] = _falling([_number(ids, name) for name, _ in ranking])
    names = {measure: name for name, measure in measures.items()}
    queries = {number: query for query, number in numbers.items()}
    values: dict[str, dict[str, float]] = {name: dict.fromkeys(qrels, 0.0) for name in measures}
    try:
        for metric in package.DefaultPipeline.evaluator(list(names), plain).iter_calc(ordered):
            values[names[metric.measure]][queries[metric.query_id]] = float(metric.value)
    except subprocess.CalledProcessError as error:
        highest = max(grade for grades in qrels.values() for grade in grades.values())
        raise ConfigError(
            f"{', '.join(measures)}: a program that computes one of them failed ({error}); ERR@k takes "
            f"grades up to 4, and the highest here is {highest}"
        ) from error
    return values


def _number(ids: dict[str, str], name: str) -> str:
    return ids.setdefault(name, f"d{len(ids)}")


def _falling(ranking: Sequence[str]) -> dict[str, float]:
    """Scores that fall by one a rank: exact in 32 bits up to sixteen million documents."""
    return {document: float(len(ranking) - rank) for rank, document in enumerate(ranking)}


def seznam_precision(
    scores: Sequence[float], labels: Sequence[float], ids: Sequence[str], k: int = 10
) -> float:
    """Precision among one query's own judged documents, as Seznam's evaluation of DaReCzech counts it.

    A label above 0.5 is relevant and the k documents with the highest score are taken, or all where
    fewer were judged: the share of them that is relevant. A query without a relevant document is 0.
    Ties in score go to the lower id. (Bednář et al. 2024, seznam/czech-semantic-embedding-models,
    evaluate_relevance.py: torchmetrics' RetrievalMetric with targets > 0.5 and k = min(10, n).)
    """
    if not len(scores) == len(labels) == len(ids):
        raise ValueError(f"{len(scores)} scores, {len(labels)} labels and {len(ids)} ids")
    if not len(scores):
        return 0.0
    order = sorted(range(len(scores)), key=lambda row: (-float(scores[row]), ids[row]))
    relevant = np.asarray(labels, dtype=np.float64)[order] > 0.5  # (n,) best first
    return float(relevant[:k].sum()) / min(k, len(relevant))
