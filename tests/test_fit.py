"""`tandem eval fit`: weights by least log-loss, judged on queries that were held out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from commands import runner

from configs.errors import ConfigError, DocumentError
from eval.ranking.fusion_fit import JudgedPool, Part, fit
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document
from retriever.learned_fusion import FEATURES, learned, named_weights, weights_of


def pools(column: int, count: int = 60) -> list[JudgedPool]:
    """Queries of ten passages each; what is relevant has more of one feature."""
    draw = np.random.default_rng(7)
    found = []
    for n in range(count):
        rows = draw.random((10, len(FEATURES))) * 0.5
        grades = np.zeros(10)
        grades[n % 10] = 1.0
        rows[n % 10, column] += 0.5
        found.append(JudgedPool(f"q{n}", rows, grades, [f"d{i}" for i in range(10)]))
    return found


def test_the_feature_that_tells_gets_the_weight_and_probabilities_are_calibrated() -> None:
    column = list(FEATURES).index("aligned")
    judged = pools(column)
    weights = fit([Part(judged)])
    assert np.argmax(weights.of) == column
    scores = np.concatenate([learned(pool.found, weights).score for pool in judged])
    right = np.concatenate([pool.grades for pool in judged])
    assert scores[right > 0].mean() > 0.6
    named = named_weights(weights)
    assert list(named) == ["intercept", *FEATURES]
    again = weights_of(named, "any")
    assert again is not None
    assert learned(judged[0].found, again).score.tolist() == pytest.approx(scores[:10].tolist())


def test_too_few_queries_and_wrong_weights_are_told() -> None:
    with pytest.raises(DocumentError, match="9 queries find a relevant passage, and 10 are needed"):
        fit([Part(pools(0, 9))])
    with pytest.raises(
        ConfigError, match=r"missing aligned, .*unknown cosin; write them with: tandem eval fit"
    ):
        weights_of({"cosin": 1.0}, "fast")
    assert weights_of({}, "hash:256") is None
    assert weights_of({}, "fast") is not None


def test_a_fit_is_a_profile_that_search_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runner(capsys)
    documents = [
        Document(f"d{n}", f"the report of town{n} says little of the weather", "", "", "en")
        for n in range(60)
    ]
    build_index(tmp_path / "ix", documents, HashEncoder(64))
    queries = [{"id": f"q{n}", "text": f"town{n} report"} for n in range(40)]
    lines = "".join(json.dumps(one) + "\n" for one in queries)
    (tmp_path / "queries.jsonl").write_text(lines, "utf-8")
    (tmp_path / "qrels.txt").write_text("".join(f"q{n} 0 d{n} 1\n" for n in range(40)), "utf-8")
    where = ["-i", str(tmp_path / "ix"), "--queries", str(tmp_path / "queries.jsonl")]
    profile = tmp_path / "fusion.yaml"
    call = ["eval", "fit", str(tmp_path / "qrels.txt"), *where, "-o", str(profile), "--json"]
    refused = run(*call, "--set", "search.mode=lexical")
    assert refused.code == 1  # words alone are right already
    assert "no win, so no profile was written" in refused.err
    done = run(*call, "--write-anyway")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["held_out"] > 0.9
    assert set(found["against"]) == {"the current settings", "words alone", "meaning alone"}
    wanted = yaml.safe_load(profile.read_text("utf-8"))["search"]["fusion"]["weights"]
    assert wanted == pytest.approx(found["weights"], abs=1e-4)
    search = ["search", "town7", "-i", str(tmp_path / "ix"), "--config", str(profile), "--json"]
    answer = run(*search)
    assert answer.code == 0, answer.err
    assert json.loads(answer.out.splitlines()[0])
