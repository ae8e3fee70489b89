"""`tandem eval relevance`, compare, tune, churn and convert, as they are typed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from configs.load import load
from configs.settings import Settings
from eval.cli import COMMANDS
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document
from tandem import main

WORDS = ("apple", "bread", "cheese", "dough", "engine", "flute", "glass", "honey", "iron", "jam")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of ten documents, queries for each, and judgments in three formats."""
    folder = tmp_path_factory.mktemp("world")
    documents = [
        Document(word, f"A note about {word} and {WORDS[n - 1]}.", word.title(), "", "en")
        for n, word in enumerate(WORDS)
    ]
    build_index(folder / "index", documents, HashEncoder(64))
    queries = [{"_id": f"q{n}", "text": word, "lang": "en"} for n, word in enumerate(WORDS)]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)) + "\n", "utf-8")
    rows = [f"q{n} 0 {word} 1\nq{n} 0 {WORDS[n - 2]} 0\n" for n, word in enumerate(WORDS)]
    (folder / "qrels.txt").write_text("".join(rows), "utf-8")
    lines = ["ID\tquery\turl\tdoc\ttitle\tlabel"]
    for n, word in enumerate(WORDS):
        lines.append(f"{2 * n}\t{word}\t{word}\tA note about {word}\t{word}\t1")
        lines.append(f"{2 * n + 1}\t{word}\t{WORDS[n - 2]}\tAnother\t{WORDS[n - 2]}\t0.25")
    (folder / "judged.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `tandem eval ...`."""
    code = 0
    try:
        main(["eval", *map(str, arguments)])
    except SystemExit as ended:
        code = int(ended.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_relevance_measures_and_reports(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    call = (
        "relevance", world / "qrels.txt", "-i", world / "index", "--mode", "lexical",
        "--report", page, "--save-run", tmp_path / "a.run", "--json",
    )  # fmt: skip
    code, out, err = run(capsys, *call)
    assert code == 0
    values = json.loads(out)
    # each word stands in its own document's title and text, and once in its neighbour's
    assert values["rows"][0]["means"]["RR"]["mean"] == 1.0
    assert values["measured"]["command"].startswith("tandem eval relevance ")
    assert len(values["measured"]["index"]["encoder fingerprint"]) > 8
    assert f"report written to {page}" in err
    first = page.read_bytes()
    run(capsys, *call)
    assert page.read_bytes() == first


def test_a_saved_run_measures_as_the_search_did(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.run"
    _, searched, _ = run(
        capsys,
        "relevance",
        world / "qrels.txt",
        "-i",
        world / "index",
        "--save-run",
        file,
        "--json",
    )
    code, again, _ = run(capsys, "relevance", world / "qrels.txt", "--run", file, "--json")
    assert code == 0
    first, second = json.loads(searched), json.loads(again)
    assert list(first["per_query"]["AP"].values()) == list(second["per_query"]["AP"].values())


def test_dareczech_is_reranked_by_its_own_precision(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ("relevance", world / "judged.tsv", "-i", world / "index")
    code, out, _ = run(capsys, *call, "--task", "rerank")
    assert code == 0
    assert out.startswith("hybrid on judged.tsv: re-ranking of judged documents only; 10 queries")
    # two judged for each query, one of them with a label above 0.5
    assert "SeznamP@10" in out and "0.5000 [0.500, 0.500]" in out
    code, out, _ = run(capsys, *call)
    assert "retrieval from the whole index" in out.splitlines()[0] and "Judged@10" in out
    assert "SeznamP@10" not in out


def test_the_papers_protocol_is_one_preset(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ("relevance", world / "judged.tsv", "-i", world / "index")
    code, out, err = run(capsys, *call, "--preset", "dareczech", "--json")
    report = json.loads(out)
    assert code == 0 and "dense" in out
    said = r"SeznamP@10 over 150 samples of the judged pairs, drawn with replacement: (0\.\d{4}) ± (0\.\d{4})"
    found = re.search(said, err)
    assert found is not None and 0.4 < float(found[1]) < 0.6 and 0 < float(found[2]) < 0.2
    assert found[0] in report["notes"]
    code, out, _ = run(capsys, *call, "--preset", "dareczech", "--resamples", "7")
    assert code == 0 and "dense" in out
    code, _, err = run(capsys, *call, "--resamples", "7")
    assert code == 2 and "--task rerank" in err


def test_a_worse_system_fails_the_pipeline_and_names_the_queries(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / "good.run"
    good.write_text("".join(f"q{n} Q0 {word} 1 1.0 x\n" for n, word in enumerate(WORDS)), "utf-8")
    bad = tmp_path / "bad.run"
    bad.write_text(good.read_text("utf-8").replace("q3 Q0 dough", "q3 Q0 apple"), "utf-8")
    call = ("relevance", world / "qrels.txt", "-m", "P@1")
    code, _, err = run(capsys, *call, "--run", bad, "--fail-if-worse", good)
    assert code == 1
    assert "P@1 fell from 1.0000" in err and "to 0.9000; queries that got worse: 1" in err
    assert "  q3\t1.0000 -> 0.0000\tdough\n" in err
    code, _, err = run(capsys, *call, "--run", bad, "--fail-if-worse", good, "--tolerance", "0.1")
    assert code == 0
    code, _, err = run(capsys, *call, "--run", good, "--fail-if-worse", bad)
    assert code == 0 and "not worse" in err


def test_compare_takes_modes_settings_and_runs(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / "good.run"
    good.write_text("".join(f"q{n} Q0 {word} 1 1.0 x\n" for n, word in enumerate(WORDS)), "utf-8")
    profile = tmp_path / "profile.yaml"
    profile.write_text("search: {mode: dense}\n", "utf-8")
    systems = ("lexical", profile, "search.fusion.method=rrf,search.pool=50", good)
    code, out, _ = run(
        capsys,
        "compare",
        world / "qrels.txt",
        *systems,
        "-i",
        world / "index",
        "-m",
        "RR",
        "--json",
    )
    assert code == 0
    values = json.loads(out)
    assert [row["system"] for row in values["rows"]] == [
        "lexical", "profile.yaml", "search.fusion.method=rrf,search.pool=50", "good.run",
    ]  # fmt: skip
    assert values["measured"]["systems"]["profile.yaml"]["search"]["mode"] == "dense"
    third = values["measured"]["systems"]["search.fusion.method=rrf,search.pool=50"]["search"]
    assert (third["fusion"]["method"], third["pool"]) == ("rrf", 50)
    pairs = {(entry["base"], entry["other"]) for entry in values["comparisons"]}
    assert len(pairs) == 6 and ("lexical", "good.run") in pairs  # every pair of the four


def test_churn_needs_no_judgments(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ("churn", world / "queries.jsonl", "lexical", "lexical", "dense", "-i", world / "index")
    code, out, _ = run(capsys, *call, "--json")
    assert code == 0
    same, other = json.loads(out)
    assert (same["overlap"], same["rbo"], same["unchanged"]) == (1.0, pytest.approx(1.0), 10)
    assert other["rbo"] < 1


def test_tuning_writes_a_profile_that_search_loads_or_none(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tuned.yaml"
    call = ("tune", world / "qrels.txt", "-i", world / "index", "-m", "RR", "-o", file)
    settings = ("--set", "search.pool=20")
    code, out, err = run(capsys, *call, *settings)
    assert code == 1  # words alone are perfect here: nothing can be gained
    assert "verdict: no win" in out and "no profile was written" in err
    assert not file.exists()
    code, _, _ = run(capsys, *call, *settings, "--write-anyway")
    assert code == 0
    tuned = load(Settings, str(file))
    assert tuned.search.mode == "hybrid" and tuned.search.pool == 20
    assert "(no win" in file.read_text("utf-8")
    assert set(yaml.safe_load(file.read_text("utf-8"))) == {"search"}


def test_convert_goes_to_beir_and_back_to_trec(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "convert", world / "judged.tsv", tmp_path / "beir")
    assert code == 0 and "20 judgments of 10 queries" in err
    assert len((tmp_path / "beir" / "corpus.jsonl").read_text("utf-8").splitlines()) == 10
    out = tmp_path / "trec" / "qrels.txt"
    code, _, _ = run(capsys, "convert", tmp_path / "beir", out, "--to", "trec")
    assert code == 0
    assert out.read_text("utf-8").startswith("q1 0 apple 4\nq1 0 iron 1\n")
    code, _, err = run(capsys, "convert", world / "judged.tsv", tmp_path / "beir")
    assert code == 1 and "nothing is overwritten" in err


WRONG_OPTIONS = {
    "did you mean nDCG?", "search.mode must be one of", ".html, .json or .md", "bogus: no such file",
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("relevance", "nowhere.txt", "-i", "{index}"), "no such file or folder"),
        (("relevance", "{index}", "-i", "{index}"), "this looks like a Tandem index folder"),
        (("relevance", "{queries}", "-i", "{index}"), "looks like JSON lines with a query each"),
        (("relevance", "{qrels}", "-i", "{index}", "-m", "ndcg@x"), "did you mean nDCG?"),
        (("relevance", "{qrels}", "-i", "nowhere"), "no such index folder"),
        (("relevance", "{qrels}", "-i", "{index}", "--mode", "both"), "search.mode must be one of"),
        (("relevance", "{qrels}", "--run", "{queries}"), "a TREC run is expected"),
        (("relevance", "{qrels}", "-i", "{index}", "--report", "r.doc"), ".html, .json or .md"),
        (("compare", "{qrels}", "hybrid", "bogus", "-i", "{index}"), "bogus: no such file"),
        (("compare", "{qrels}", "lexical", "dense"), "name it with -i INDEX"),
        (("tune", "{qrels}", "-i", "{index}", "--folds", "9"), "too few for 9 folds"),
    ],
)
def test_bad_calls_end_with_one_line(
    world: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    places = {
        "index": world / "index", "qrels": world / "qrels.txt", "queries": world / "queries.jsonl"
    }  # fmt: skip
    code, _, err = run(capsys, *[argument.format(**places) for argument in arguments])
    assert code == (2 if message in WRONG_OPTIONS else 1)
    assert message in err
    assert err.startswith("Error: ") and err.count("\n") == 1


@pytest.mark.parametrize("call", [("relevance", "qrels.txt"), ("compare", "qrels.txt", "lexical")])
def test_a_wrong_call_exits_with_2(
    call: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, *call)[0] == 2


@pytest.mark.parametrize("name", ["relevance", "compare", "tune", "churn", "convert"])
def test_every_command_has_help_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert f"Example: tandem eval {name} " in " ".join(out.split())


def test_help_imports_nothing_heavy() -> None:
    modules = sorted({module for module, _, _ in COMMANDS.values() if "similarity" not in module})
    code = (
        f"import sys, importlib\nfor name in {modules}: importlib.import_module(name)\n"
        "heavy = {'torch', 'faiss', 'numpy', 'scipy', 'ir_measures', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
