"""A run that cannot begin says all that is missing, and how to get it, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import runner

from configs.errors import ConfigError
from configs.load import load, names
from configs.training import (
    ContrastiveSettings,
    DistillSettings,
    RetromaeSettings,
    StudentSettings,
    TextSettings,
)
from training.run.needs import check_needs


def test_everything_is_named_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as told:
        check_needs(load(DistillSettings, "small-czech-distill", ()), names())
    text = str(told.value)
    assert "student.tokenizer runs/czech-tokenizer/tokenizer.json: no such file" in text
    assert "tandem train tokenizer -o runs/czech-tokenizer/tokenizer.json" in text
    assert "corpora.files[0].path data/parallel/en-cs.tsv.xz: no such file" in text
    assert "all-mpnet-base-v2" not in text  # a hub knows it


def test_a_model_that_a_recipe_makes_comes_with_its_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as told:
        check_needs(load(ContrastiveSettings, "small-czech-rankcse", ()), names())
    text = str(told.value)
    assert (
        "tandem train retromae --config small-czech-retromae -o runs/small-czech-retromae" in text
    )
    assert "tandem train distill --config small-czech-distill -o runs/small-czech-distill" in text


def test_what_is_there_is_not_named(tmp_path: Path) -> None:
    for name in ("a.txt", "pair.en-cs.en", "tokenizer.json"):
        (tmp_path / name).write_text("x")
    for path in (tmp_path / "a.txt", tmp_path / "pair.en-cs", tmp_path / "*.txt"):
        check_needs(RetromaeSettings(texts=(TextSettings(str(path)),)))
    with pytest.raises(ConfigError, match=r"texts\[0\].path .*none-\*.txt: no such file"):
        check_needs(RetromaeSettings(texts=(TextSettings(str(tmp_path / "none-*.txt")),)))
    check_needs(ContrastiveSettings(student=StudentSettings(model="FacebookAI/xlm-roberta-base")))
    student = StudentSettings(tokenizer=str(tmp_path / "tokenizer.json"))
    check_needs(RetromaeSettings(student=student))


def test_the_command_says_it_and_makes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = runner(capsys)("train", "simcse", "--config", "small-czech-simcse", "-o", "out")
    assert ended.code == 2
    assert "student.model runs/small-czech-retromae/model: no such folder" in ended.err
    assert "texts[0].path data/parallel/en-cs.tsv.xz" in ended.err
    assert not (tmp_path / "out").exists()
