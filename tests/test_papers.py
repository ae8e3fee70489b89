"""`python -m benchmarks.papers`: what it reads is drawn as it says, and a step that is done is not done again."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import papers, papers_czech, papers_running
from benchmarks.papers_bangla import Bangla
from benchmarks.papers_czech import CZECH, Czech
from benchmarks.papers_multilingual import Multilingual
from benchmarks.papers_running import SCALES


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "parallel").mkdir(parents=True)
    lines = [f"tatoeba\tan English sentence {n}\tčeská věta, a to číslo {n}\n" for n in range(50)]
    lines += [f"bible-x\tverse {n}\tverš, a to dost dlouhý {n}\n" for n in range(50)]
    lines += ["tatoeba\tshort\tkrátká\n", lines[0]]
    with lzma.open(folder / "parallel" / "en-cs.tsv.xz", "wt", encoding="utf-8") as stream:
        stream.writelines(lines)
    return folder


def test_sentences_are_drawn_once_without_scripture(data: Path, tmp_path: Path) -> None:
    made = Czech(SCALES["small"], tmp_path / "work", data)
    lines = made.pairs(0).read_text("utf-8").splitlines()
    assert len(lines) == len(set(lines)) == 50
    assert all(line.startswith("tatoeba\t") for line in lines)
    few = made.pairs(10).read_text("utf-8").splitlines()
    assert len(few) == 10 and set(few) < set(lines)


def test_each_step_is_made_once_and_after_what_it_starts_from(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No training here: what is called, with what, and in which order."""
    calls: list[tuple[str, str]] = []

    def called(*call: str) -> str:
        out = Path(call[call.index("-o") + 1])
        given = dict(part.split("=", 1) for part in call if "=" in part)
        calls.append((call[1], given.get("student.model", "")))
        (out if call[1] != "tokenizer" else out.parent).mkdir(parents=True, exist_ok=True)
        return ""

    monkeypatch.setattr(papers_czech, "tandem", called)
    monkeypatch.setattr(papers_running, "tandem", called)
    made = Czech(SCALES["small"], tmp_path / "work", data)
    rows = {row.name: row for row in CZECH}
    model = made.model(rows["RankCSE (ListNet)"])
    assert [recipe for recipe, _ in calls] == ["tokenizer", "retromae", "distill", "rankcse"]
    assert json.loads(calls[-1][1]).endswith("retromae/model")
    assert model == tmp_path / "work" / "rankcse-listnet" / "model"
    done = len(calls)
    made.model(rows["distilled"])
    assert [recipe for recipe, _ in calls[done:]] == []


def test_the_table_sets_each_row_beside_the_papers() -> None:
    row: dict[str, Any] = {
        "sts": 61.25,
        "costra": {"mean_without_basic_and_modality": 66.12},
        "minutes": 12.4,
    }
    text = Czech.table({"RetroMAE": row, "RankCSE (ListNet)": row})
    first, second = text.splitlines()[2:]
    assert [cell.strip() for cell in first.strip("|").split("|")] == [
        "RetroMAE", "61.2", "76.3", "66.1", "69.7", "12",
    ]  # fmt: skip
    assert second.count("|") == first.count("|") and "76.3" not in second


def test_a_row_that_is_none_is_told() -> None:
    result = CliRunner().invoke(papers.main, ["czech", "--only", "SimCSE"])
    assert (
        result.exit_code == 2
        and "no row 'SimCSE'; there are: fast, accurate, RetroMAE" in result.output
    )


def test_the_multilingual_table_ends_with_the_papers_figures() -> None:
    kinds = ("STS en", "STS other", "STS across", "lost in one pool", "KorSTS", "BUCC")
    row = dict.fromkeys((*kinds, "Georgian", "Swahili", "Tagalog", "Tatar"), 71.26)
    lines = Multilingual.table({"fast": row}).splitlines()
    assert "71.3" in lines[2]
    assert "| 88.8 |" in lines[-1].replace("  ", " ").replace("  ", " ")


def test_every_paper_has_rows_and_a_table_of_nothing() -> None:
    for paper in papers.PAPERS.values():
        assert len(set(paper.rows)) == len(paper.rows) > 2
        assert paper.table({})


def test_a_row_of_one_kind_leaves_out_the_other_sources(data: Path, tmp_path: Path) -> None:
    made = Multilingual(SCALES["small"], tmp_path / "work", data)
    assert made.others(("bible-",)) == {"tatoeba"}
    assert made.others(("tatoeba",)) == {"bible-x"}


def test_bengali_paraphrases_are_two_translations_and_stay_out_of_the_training(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data" / "parallel"
    folder.mkdir(parents=True)
    lines = [f"x\tthis is sentence number {n}\tএটি একটি বাক্য নম্বর {n}\n" for n in range(20)]
    lines += [
        "x\tclose the file before you leave\tযাওয়ার আগে ফাইলটি বন্ধ করুন\n",
        "x\tclose the file before you leave\tপ্রস্থানের পূর্বে নথি বন্ধ করে দিন\n",
        "x\topen the file when you come back\tফিরে এলে ফাইলটি খুলুন আবার\n",
        "x\topen the file when you come back\tপ্রত্যাবর্তন করে নথিটি উন্মুক্ত করবেন\n",
    ]
    with lzma.open(folder / "en-bn.tsv.xz", "wt", encoding="utf-8") as stream:
        stream.writelines(lines)
    made = Bangla(SCALES["small"], tmp_path / "work", tmp_path / "data")
    rows = [
        line.split("\t")
        for half in made.paraphrases()
        for line in half.read_text("utf-8").splitlines()
    ]
    assert [row[2] for row in rows] == ["1", "0", "1", "0"]
    assert all(row[0] != row[1] for row in rows)
    assert len(made.pairs().read_text("utf-8").splitlines()) == 20
