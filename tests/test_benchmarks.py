"""The benchmarks run end to end on a tiny collection, and their arithmetic is right."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import papers_running, report
from benchmarks.__main__ import main
from benchmarks.collection import data_folder, prepare, subset
from benchmarks.encoders import sample
from benchmarks.measure import isolated, percentiles, repeated
from configs.errors import DocumentError

ROOT = Path(__file__).resolve().parent.parent

EVERYDAY = [f"Where is house number {n}?\tWo ist das Haus Nummer {n}?" for n in range(30)]


@pytest.fixture
def small_data(tmp_path: Path) -> Path:
    """A folder of shared data in small: one parallel corpus and one file of everyday sentences."""
    folder = tmp_path / "data"
    (folder / "parallel").mkdir(parents=True)
    (folder / "dev" / "tatoeba").mkdir(parents=True)
    with lzma.open(folder / "parallel" / "en-de.tsv.xz", "wt", encoding="utf-8") as out:
        for n in range(400):
            english = f"Sentence {n} of the manual says that part {n * 7} goes into box {n % 13}."
            german = f"Satz {n} des Handbuchs sagt, dass Teil {n * 7} in Kiste {n % 13} gehört."
            out.write(f"manual\t{english}\t{german}\n")
            out.write(f"manual\t{english}\t{german}\n")  # a repetition is left out
    with gzip.open(folder / "dev" / "tatoeba" / "tatoeba-laser.eng-deu.tsv.gz", "wt") as file:
        csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\").writerows(
            line.split("\t") for line in EVERYDAY
        )
    return folder


def test_percentiles_are_calls_that_were_made() -> None:
    found = percentiles([n / 1000 for n in range(1, 101)])  # 1 to 100 ms
    assert (found.p50, found.p95, found.p99, found.slowest) == (50.0, 95.0, 99.0, 100.0)
    assert found.mean == 50.5


def test_the_median_run_is_kept_with_the_figures_of_all() -> None:
    figures = iter([9.0, 1.0, 4.0])
    found = repeated(lambda: {"seconds": next(figures)}, 3, "seconds")
    assert found == {"seconds": 4.0, "seconds_of_runs": [1.0, 4.0, 9.0]}


def test_the_collection_joins_neighbours_and_holds_each_text_once(
    small_data: Path, tmp_path: Path
) -> None:
    made = prepare(small_data, tmp_path / "work")
    lines = Path(made.documents).read_text("utf-8").splitlines()
    passages = [json.loads(line) for line in lines]
    assert made.passages == len(passages) == len({p["id"] for p in passages})
    assert set(made.languages) == {"de", "en"}
    assert 30 <= made.words <= 55
    english = " ".join(p["text"] for p in passages if p["lang"] == "en")
    assert english.count("Sentence 17 of") <= 1
    assert prepare(small_data, tmp_path / "work") == made


def test_the_same_data_gives_the_same_bytes(small_data: Path, tmp_path: Path) -> None:
    one, two = (prepare(small_data, tmp_path / name) for name in ("one", "two"))
    assert Path(one.documents).read_bytes() == Path(two.documents).read_bytes()
    assert Path(one.queries).read_bytes() == Path(two.queries).read_bytes()


def test_more_passages_than_there_are_is_refused(small_data: Path, tmp_path: Path) -> None:
    made = prepare(small_data, tmp_path / "work")
    with pytest.raises(DocumentError, match="10,000 passages are asked for"):
        subset(made, 10_000)
    assert len(subset(made, 5).read_text("utf-8").splitlines()) == 5


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(DocumentError, match=r"benchmarks.ours:latency: .*no-index"):
        isolated(
            "benchmarks.ours:latency",
            {"folder": "no-index", "query_file": __file__, "count": 0, "clients": 2},
        )


def test_without_the_data_it_says_so_and_ends_well(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0
    assert "Skipped" in result.stderr and "TANDEM_DATA" in result.stderr
    with pytest.raises(DocumentError):
        data_folder(tmp_path)


def test_an_unknown_step_names_those_there_are() -> None:
    result = CliRunner().invoke(main, ["--only", "speed"])
    assert result.exit_code == 2
    assert "build_detected" in result.stderr


def test_a_tiny_run_measures_builds_and_searches(small_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--data", str(small_data), "--work", str(tmp_path / "work"), "--out", str(out)]
    arguments += ["--sizes", "60", "--queries", "10", "--repeat", "1", "--encoder", "hash:64"]
    arguments += ["--only", "build,opening,latency,recall,rank-bm25"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads((out / "results.json").read_text("utf-8"))["sizes"]["60"]
    assert found["tandem"]["build"]["passages"] == 60
    assert found["tandem"]["build"]["peak_rss_mb"] > 10
    assert found["tandem"]["recall"]["at_10"] == 1.0  # 60 passages are searched exactly
    assert found["tandem"]["latency"]["hybrid"]["p50"] > 0
    assert found["rank-bm25"]["latency"]["calls"] == 10
    table = (out / "results.md").read_text("utf-8")
    assert "hybrid p99, ms" in table and "rank-bm25 (words)" in table


def test_words_alone_are_measured_on_the_queries_that_a_slower_peer_is_asked(
    small_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["--data", str(small_data), "--work", str(tmp_path / "work"), "--out", str(out)]
    arguments += ["--sizes", "60", "--queries", "20", "--repeat", "1", "--encoder", "hash:64"]
    arguments += ["--only", "lexical_side,rank-bm25"]  # the index is built on the way
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    side = json.loads((out / "results.json").read_text("utf-8"))["sizes"]["60"]["tandem"]
    assert side["lexical_side"]["calls"] == side["lexical_side"]["whole"]["calls"] == 20
    assert side["lexical_side"]["p50_of_first"] == {"20": side["lexical_side"]["p50"]}


def test_peers_by_words_are_compared_on_the_same_queries() -> None:
    side = {"p50": 9.0, "p50_of_first": {"200": 0.5, "40": 0.4}}
    peers = {"bm25s": (11.0, 200), "rank-bm25": (180.0, 40)}
    found = {name: {"latency": {"p50": p50, "calls": n}} for name, (p50, n) in peers.items()}
    results = {"sizes": {"500000": {"tandem": {"lexical_side": side}, **found}}}
    words = {t.name: t for t in report.targets(results) if t.name.startswith("words")}
    bm25s = words["words, times faster than bm25s at 500,000 (p50)"]
    assert (bm25s.measured, bm25s.met) == ("22.0", True)
    rank_bm25 = words["words, times faster than rank-bm25 at 500,000 (p50)"]
    assert (rank_bm25.measured, rank_bm25.met) == ("450.0", False)


def test_targets_compare_what_was_measured() -> None:
    latency = {"hybrid": {"p50": 4.0, "p99": 30.0}}
    tandem = {"latency": latency, "build": {"per_second": 5_500.0, "peak_rss_mb": 2_000.0}}
    results = {"sizes": {"1000000": {"tandem": tandem, "txtai": {"per_second": 1_000.0}}}}
    met = {target.name: target.met for target in report.targets(results)}
    assert met["hybrid p50 at 1,000,000, ms"] is True
    assert met["hybrid p99 at 1,000,000, ms"] is False
    assert met["build, times txtai's throughput, 1,000,000"] is True
    assert met["open and first query at 1,000,000, ms"] is None


def test_encoders_read_sentences_and_passages_that_are_not_the_same(small_data: Path) -> None:
    sentences, passages = sample(small_data)
    assert sentences == [line.split("\t")[1] for line in EVERYDAY]  # there are no more than these
    assert passages == []
    assert sample(small_data / "nowhere") == ([], [])


def test_encoders_are_set_beside_a_base_sized_one() -> None:
    one = {"parameters_million": 17.4, "mb": 70.4, "sentences_per_second": 100.0,
           "passages_per_second": 20.0, "query": {"p50": 5.0},
           "times_smaller_than_base": 6.2, "times_faster_than_base": 5.5}  # fmt: skip
    table = report.markdown({"sizes": {}, "encoders": {"Small": one, "seconds_process": 9.0}})
    table = "\n".join(" ".join(line.split()) for line in table.splitlines())
    assert "| Small | 17.4 | 70.4 | 100 | 20 | 5.00 | 6.2 | 5.5 |" in table
    assert "Not measured: no torch" in report.markdown(
        {"sizes": {}, "encoders": {"error": "no torch"}}
    )


_SMALL_CARD = """
import json
from benchmarks import gpu
gpu.BLOCK, gpu.LISTS, gpu.BATCH = 1_000, 8, 20
gpu.SHAPES = {"tiny": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}}
found = gpu.measured("cpu", (2_500,), 600, square=64)
print(json.dumps([found, gpu.report(found)]))
"""


def test_the_measurements_of_a_card_run_on_a_cpu_at_small_sizes() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    # in a process of its own: FAISS's module for torch changes how every index is searched
    command = [sys.executable, "-c", _SMALL_CARD]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    found, text = json.loads(ran.stdout.splitlines()[-1])
    assert found["exact"]["2500"]["same_first_ten"] > 0.99  # FAISS and torch agree
    assert found["lists"]["SQ8, 16 lists"]["recall"] > 0.9  # all eight lists are read
    assert " 2,500 |" in text and "| tiny |" in text


def test_the_minutes_of_a_row_are_those_of_all_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [{"seconds": 30}, {"seconds": 90, "loss": 1}, {"held_out/score": 1}, {"seconds": 30}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    monkeypatch.setattr(papers_running, "tandem", lambda *call: "")
    papers_running.train("distill", "x", tmp_path, {})
    assert float((tmp_path / "minutes").read_text()) == pytest.approx(2.0, abs=0.01)
