"""The commands of similarity, bitext and speed: their help, their results, what they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest

import tandem
from eval import cli_similarity
from eval.sentences import costra

COMMANDS = cli_similarity.__all__


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `tandem eval ARGUMENTS`."""
    code = 0
    try:
        tandem.main(["eval", *arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def write(path: Path, *rows: str) -> str:
    path.write_text("".join(row + "\n" for row in rows), "utf-8")
    return str(path)


def every_command() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name in COMMANDS:
        command = getattr(cli_similarity, name)
        if isinstance(command, click.Group):
            found += [(f"{name} {inner}", one) for inner, one in command.commands.items()]
        else:
            found.append((name, command))
    return found


@pytest.mark.parametrize(("name", "command"), every_command())
def test_every_command_has_help_and_an_example(name: str, command: click.Command) -> None:
    assert command.help and command.epilog and f"tandem eval {name}" in command.epilog
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
    assert any("--json" in parameter.opts for parameter in command.params)


def test_the_commands_are_there_before_anything_heavy() -> None:
    heavy = "numpy", "torch", "faiss", "sklearn", "scipy", "sentence_transformers"
    script = f"import sys, eval.cli_similarity; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_tatoeba_prints_a_table_or_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one = write(tmp_path / "t.eng-ces.tsv", "Praha 1\tPraha 1", "Brno 2\tBrno 2")
    other = write(tmp_path / "t.eng-deu.tsv", "Wien\tWien", "Linz\tLinz")
    code, out, _ = run(capsys, "tatoeba", one, other, "--encoder", "hash")
    assert code == 0 and out.splitlines()[-1].split() == ["mean", "4", "100.00", "100.00", "100.00"]
    report = as_json(capsys, "tatoeba", one, "--encoder", "hash:32")
    assert report["encoder"] == {"name": "hash:32", "fingerprint": "hash-1-32", "dim": 32}
    assert report["result"][0]["forward"] == 1.0
    assert report["data"][0]["rows"] == 2 and len(report["data"][0]["sha256"]) == 64


def test_sts_and_bias_across_languages(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cs = write(tmp_path / "cs.tsv", "Praha 1\tPraha 1\t5", "Brno 2\tBrno 3\t3", "auto\tdům\t0")
    en = write(tmp_path / "en.tsv", "Praha 1\tPraha 1\t5", "Brno 2\tBrno 3\t3", "car\thouse\t0")
    report = as_json(capsys, "sts", cs, en, "--across", "--encoder", "hash")
    assert [row["name"] for row in report["result"]] == ["cs", "en", "cs x en", "en x cs"]
    assert report["result"][0]["spearman"] == pytest.approx(1.0)
    bias = as_json(capsys, "bias", cs, en, "--encoder", "hash")["result"]
    assert len(bias["sets"]) == 4
    assert bias["difference"] == pytest.approx(bias["actual"] - bias["expected"])
    # as STS 2017: each file a language or a pair of languages, no row the same
    pair = write(
        tmp_path / "en-cs.tsv", "dog\tpes\t5", "dog\tdog house\t2", "cat\tpes\t1", "a\tb\t0"
    )
    alone = as_json(capsys, "bias", cs, en, pair, "--encoder", "hash")["result"]
    assert [one["name"] for one in alone["sets"]] == ["cs", "en", "en-cs"]
    assert alone["expected"] == pytest.approx(sum(one["spearman"] for one in alone["sets"]) / 3)
    code, _, err = run(capsys, "sts", cs, "--across", "--encoder", "hash")
    assert code == 2 and "two languages or more" in err


def test_the_pool_of_all_languages(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cs = write(tmp_path / "n.eng-ces.tsv", "Dog\tPes", "Cat\tKočka", "Cow\tKráva")
    de = write(tmp_path / "german.tsv", "Dog\tHund", "Cat\tKatze", "Cow\tKuh")
    report = as_json(capsys, "bias", "--pool", cs, f"deu={de}", "--limit", "2", "--encoder", "hash")
    assert report["result"]["langs"] == ["eng", "ces", "deu"] and report["result"]["queries"] == 6
    code, _, err = run(capsys, "bias", "--pool", cs, de, "--encoder", "hash")
    assert code == 2 and "of which language? Write it as LANG=" in err


def test_paraphrase_and_probe(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pairs = write(tmp_path / "p.tsv", "a b c\ta b c\t1", "a b c\tx y z\t0")
    found = as_json(capsys, "paraphrase", pairs, "--encoder", "hash")["result"]
    assert found["fixed"]["f1"] == found["best"]["f1"] == 1.0
    wrong = write(tmp_path / "w.tsv", "a\tb\t1", "a\tc\t2")
    code, out, err = run(capsys, "paraphrase", wrong, "--encoder", "hash")
    assert code == 1 and out == "" and "w.tsv:2: the label must be 0 or 1, not '2'" in err
    texts = [f"{'good fine' if n % 2 else 'bad poor'} thing {n}" for n in range(20)]
    labelled = write(tmp_path / "l.tsv", *(f"{n % 2}\t{text}" for n, text in enumerate(texts)))
    assert as_json(capsys, "probe", labelled, "--encoder", "hash")["result"]["macro_f1"] == 1.0
    only = write(tmp_path / "o.tsv", "1\tgood", "1\tfine")
    code, _, err = run(capsys, "probe", only, "--encoder", "hash")
    assert code == 1 and "a probe needs two classes" in err


def test_costra_from_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = "0\t1\tseed\tA b\tA b", "1\t1\tparaphrase\tA b c\tA b c", "2\t1\tnonsense\tx\tx"
    file = write(tmp_path / "c.tsv", *rows)
    found = as_json(capsys, "costra", "--data", file, "--encoder", "hash")
    assert found["result"]["categories"]["basic"] == 1.0
    assert found["settings"] == {"raw": False, "costra_package": None}
    code, out, _ = run(capsys, "costra", "--data", file, "--encoder", "hash")
    assert code == 0 and [" ".join(line.split()) for line in out.splitlines()[-2:]] == [
        "mean of six categories 16.67",
        "mean without basic and modality 0.00",
    ]


def test_costra_records_which_version_of_the_package_it_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("costra")
    found = as_json(capsys, "costra", "--encoder", "hash")
    assert found["settings"]["costra_package"] == version("costra")
    assert set(found["result"]["categories"]) == set(costra.CATEGORIES)


WORDS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi".split()
)


def bucc(folder: Path, split: str, n: int = 24) -> str:
    """Pairs that share most words, and as many sentences that share none."""
    rows: dict[str, list[str]] = {"cs": [], "en": [], "gold": []}
    for number in range(n):
        words = [f"{WORDS[(number * 3 + i * i) % 16]}{number * 7 + i}" for i in range(5)]
        rows["cs"].append(f"cs-{number}\t{' '.join(words)}")
        rows["en"].append(f"en-{number}\t{' '.join(words[:4])} only{number}")
        rows["gold"].append(f"cs-{number}\ten-{number}")
        rows["cs"].append(f"cs-x{number}\tnic{number} jiného{number * 2} než{number * 3}")
        rows["en"].append(f"en-x{number}\tquite{number} another{number * 5} thing{number * 9}")
    for ending, lines in rows.items():
        write(folder / f"cs-en.{split}.{ending}", *lines)
    return str(folder / f"cs-en.{split}")


def test_bucc_chooses_on_training_and_measures_on_test(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    train, test = bucc(tmp_path, "training"), bucc(tmp_path, "test", 30)
    out, scored = tmp_path / "pairs.txt", tmp_path / "scored.tsv"
    report = as_json(
        capsys, "bitext", "bucc", test, "--train", train, "--encoder", "hash", "--factory", "Flat",
        "--factory", "HNSW16", "-o", str(out), "--scored", str(scored),
    )  # fmt: skip
    flat, hnsw = report["result"]
    assert flat["chosen_on"] == "the training split" and flat["train"]["f1"] == 1.0
    assert flat["test"]["gold"] == 30 and flat["test"]["f1"] > 0.9
    assert hnsw["factory"] == "HNSW16" and hnsw["test"]["f1"] > 0.9
    assert len(out.read_text().splitlines()) == flat["kept"] == len(scored.read_text().splitlines())
    assert [file["name"] for file in report["data"]][-1] == "cs-en.test.gold"


def test_bucc_without_a_threshold_is_called_an_upper_bound(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    test = bucc(tmp_path, "test")
    code, out, _ = run(capsys, "bitext", "bucc", test, "--encoder", "hash")
    assert code == 0 and "threshold chosen on the test split: an upper bound" in out
    Path(test + ".gold").unlink()
    code, _, err = run(capsys, "bitext", "bucc", test, "--encoder", "hash")
    assert code == 1 and "no such file; give -o to write the pairs instead" in err
    code, _, err = run(
        capsys, "bitext", "bucc", test, "--encoder", "hash", "-o", str(tmp_path / "o")
    )
    assert code == 2 and "give --train or --threshold" in err


def test_mine_writes_pairs_and_uses_its_folders_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one = write(tmp_path / "a.txt", *(f"{w} {w}{n} shared" for n, w in enumerate(WORDS)))
    other = write(tmp_path / "b.txt", *(f"{w} {w}{n} common" for n, w in enumerate(WORDS)))
    work = str(tmp_path / "work")
    arguments = [
        "bitext",
        "mine",
        one,
        other,
        "--encoder",
        "hash",
        "--langs",
        "en,en",
        "--work",
        work,
    ]
    code, out, err = run(capsys, *arguments)
    assert code == 0 and "16 pairs from 16 and 16 sentences" in err
    score, source, target = out.splitlines()[0].split("\t")
    assert float(score) > 1 and source.split()[0] == target.split()[0]
    again = as_json(capsys, *arguments, "-o", str(tmp_path / "pairs.tsv"), "--threshold", "0")
    assert again["result"]["pairs"] == 16
    assert (tmp_path / "pairs.tsv").read_text("utf-8") == out
    # the two folders by themselves are the same input
    folders = [f"{work}/source.index", f"{work}/target.index"]
    assert run(capsys, "bitext", "mine", *folders)[1] == out
    code, _, err = run(capsys, *arguments[:4], "--encoder", "hash:32", "--work", work)
    assert code == 2 and "made from other sentences, another encoder or factory" in err


def test_mine_refuses_what_it_cannot_use(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    full, empty = write(tmp_path / "a.txt", "text"), write(tmp_path / "b.txt")
    code, _, err = run(capsys, "bitext", "mine", full, empty, "--encoder", "hash")
    assert code == 1 and "b.txt: the file is empty" in err
    code, _, err = run(capsys, "bitext", "mine", full, full, "--langs", "en", "--encoder", "hash")
    assert code == 2 and "two languages are expected" in err
    assert run(capsys, "bitext", "mine", full)[0] == 2
    assert run(capsys, "bitext", "mine", full, full, "-k", "0")[0] == 2


def test_speed_of_documents_and_of_an_index(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [json.dumps({"id": str(n), "text": f"{w} is number {n}"}) for n, w in enumerate(WORDS)]
    documents = write(tmp_path / "d.jsonl", *rows)
    report = as_json(capsys, "speed", "--documents", documents, "--encoder", "hash", "--count", "8")
    found = report["result"]
    assert found["indexing"]["documents"] == found["documents"] == 16
    assert set(found["search"]) == {"hybrid", "dense", "lexical"} and found["size"]["bytes"] > 0
    assert found["encoding"]["single"]["calls"] == 8
    queries = write(tmp_path / "q.txt", "alpha", "beta")
    code, out, _ = run(capsys, "speed", "--queries", queries, "--encoder", "hash")
    assert code == 0 and "encode a query" in out and "texts a second" in out
    blank = write(tmp_path / "blank.txt", "alpha", "", "beta")
    code, _, err = run(capsys, "speed", "--queries", blank, "--encoder", "hash")
    assert code == 1 and "blank.txt:2: a query without text" in err
    code, _, err = run(capsys, "speed", "--encoder", "hash")
    assert code == 2 and "nothing to measure" in err


def test_an_index_names_its_encoder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    documents = write(tmp_path / "d.jsonl", json.dumps({"id": "1", "text": "one text"}))
    index = str(tmp_path / "d.index")
    tandem.main(["index", "build", documents, "-o", index, "--set", "encoder.model=hash:48"])
    capsys.readouterr()
    pairs = write(tmp_path / "p.tsv", "Praha\tPraha", "Brno\tBrno")
    assert as_json(capsys, "tatoeba", pairs, "-i", index)["encoder"]["name"] == "hash:48"
    code, _, err = run(capsys, "tatoeba", pairs, "-i", index, "--encoder", "hash")
    assert code == 2 and "both name an encoder" in err
    report = as_json(capsys, "speed", "-i", index, "--count", "3")
    assert report["result"]["documents"] == 1


def test_a_curve_needs_something_to_measure_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pairs = write(tmp_path / "en-cs.tsv", "a\tb", "c\td")
    base = ["curve", pairs, "-o", str(tmp_path / "out"), "--sizes", "1,2"]
    code, _, err = run(capsys, *base, "--train", "distill {pairs} {student}")
    assert code == 2 and "give --tatoeba or --sts" in err
    code, _, err = run(capsys, *base, "--train", "distill {pairs}", "--tatoeba", pairs)
    assert code == 2 and "{student} must stand in it" in err


def test_questions_ask_one_pool_of_the_answers_of_all_languages(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def lines(name: str, rows: list[dict[str, Any]]) -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return str(path)

    questions = [
        lines(
            "q.en.jsonl",
            [
                {"id": 1, "lang": "en", "text": "red apple"},
                {"id": 2, "lang": "en", "text": "blue river"},
            ],
        ),
        lines("q.cs.jsonl", [{"id": 1, "lang": "cs", "text": "red jablko"}]),
    ]
    answers: list[dict[str, Any]] = [
        {"id": "a", "lang": "en", "text": "red apple", "questions": 1},
        {"id": "b", "lang": "cs", "text": "cervene jablko", "questions": [1]},
        {"id": "c", "lang": "en", "text": "blue river", "questions": ["2"]},
        {"id": "d", "lang": "en", "text": "green leaf", "questions": ["2"]},
    ]
    pool = lines("a.jsonl", answers)
    report = as_json(capsys, "bias", *questions, "--answers", pool, "--encoder", "hash")
    found = report["result"]
    assert (found["queries"], found["candidates"], found["depth"]) == (3, 4, 20)
    assert set(found["by_query_language"]) == {"en", "cs"}
    assert 0.5 < found["mean_average_precision"] <= 1.0
    assert found["matrix"][0][0] > 0.7  # the same words come first
    wrong = lines("x.jsonl", [{**answers[0], "questions": ["9"]}])
    code, _, err = run(capsys, "bias", questions[0], "--answers", wrong, "--encoder", "hash")
    assert code == 1
    assert "answers to 1 questions that are not in" in err
    code, _, err = run(capsys, "bias", questions[0], "--answers", questions[0], "--encoder", "hash")
    assert code == 1
    assert "q.en.jsonl:1: a JSON object with id, lang, text, questions is expected" in err


def test_a_head_is_probed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "reviews.tsv"
    lines = [
        f"{'good' if n % 2 else 'bad'}\t{'lovely' if n % 2 else 'dull'} film {n}\n"
        for n in range(80)
    ]
    file.write_text("".join(lines), "utf-8")
    call = ("probe", str(file), "--encoder", "hash", "--head")
    code, out, _ = run(capsys, *call, "--json")
    assert code == 0
    result = json.loads(out)["result"]
    assert len(result["folds"]) == 10 and result["by_rate"].keys() == {
        "0.0005",
        "0.001",
        "0.002",
        "0.005",
        "0.01",
    }
    code, out, _ = run(capsys, *call)
    assert code == 0 and "at the learning rate " in out
    assert run(capsys, *call, "--multilabel")[0] == 2


def test_several_labels_a_text_are_probed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"sport": "football match goal", "science": "atom telescope star", "food": "bread soup"}
    names = list(words)
    lines = []
    for n in range(60):
        chosen = [names[n % 3], names[(n // 3) % 3]]
        lines.append(
            f"{';'.join(dict.fromkeys(chosen))}\t{' '.join(words[c] for c in chosen)} {n}\n"
        )
    file = tmp_path / "topics.tsv"
    file.write_text("".join(lines), "utf-8")
    call = ("probe", str(file), "--encoder", "hash", "--multilabel", "--separator", ";")
    code, out, _ = run(capsys, *call, "--json")
    assert code == 0
    result = json.loads(out)["result"]
    assert result["labels"].keys() == set(names) and result["micro_f1"] > result["majority"]
    code, out, _ = run(capsys, *call)
    assert code == 0 and out.startswith("micro-F1 ") and "60 texts: " in out
    assert run(capsys, *call, "--test", str(file))[0] == 2
