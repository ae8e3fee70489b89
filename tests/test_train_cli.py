"""`tandem train`: every recipe by name, its help, its settings, and a whole run from the command line."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from training_world import sentences, tiny, write_pairs

import tandem
from configs.load import load, names
from configs.training import (
    ContrastiveSettings,
    DistillSettings,
    RelevanceSettings,
    RetromaeSettings,
)
from training.cli import COMMANDS, train

RECIPES: dict[str, tuple[type, list[str]]] = {
    "distill": (
        DistillSettings,
        [
            "multilingual-distillation-xlmr",
            "multilingual-distillation-mbert",
            "multilingual-distillation-distilmbert",
            "multilingual-distillation-minilm",
            "small-czech-distill",
            "banglaembed-mse",
        ],
    ),
    "simcse": (ContrastiveSettings, ["small-czech-simcse"]),
    "rankcse": (ContrastiveSettings, ["small-czech-rankcse"]),
    "infonce": (ContrastiveSettings, ["small-czech-infonce"]),
    "mnr": (ContrastiveSettings, ["banglaembed-mnr"]),
    "retromae": (RetromaeSettings, ["small-czech-retromae"]),
    "relevance": (RelevanceSettings, ["small-czech-relevance", "small-czech-dareczech"]),
}
NAMED = [(command, name) for command, (_, found) in RECIPES.items() for name in found]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_an_example(command: str) -> None:
    result = CliRunner().invoke(train, [command, "--help"])
    assert result.exit_code == 0, result.output
    assert f"Example: tandem train {command} " in " ".join(result.output.split())
    assert "--config" in result.output or command in ("export", "catalogues")


def test_help_loads_no_torch() -> None:
    script = (
        "import sys, tandem\n"
        "try: tandem.main(['train', 'distill', '--help'])\n"
        "finally: assert not {'torch', 'transformers', 'numpy', 'faiss'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(("command", "name"), NAMED)
def test_every_recipe_has_a_configuration_that_is_shown_and_read_back(
    command: str, name: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(train, [command, "--config", name, "--show"])
    assert result.exit_code == 0, result.output
    (tmp_path / "shown.yaml").write_text(result.output, "utf-8")
    cls = RECIPES[command][0]
    assert load(cls, str(tmp_path / "shown.yaml")) == load(cls, name)


@pytest.mark.parametrize("name", [name for _, name in NAMED])
def test_every_configuration_tells_its_command(name: str) -> None:
    assert name in names()
    command = next(c for c, n in NAMED if n == name)
    text = (Path(tandem.__file__).parent / "configs" / f"{name}.yaml").read_text("utf-8")
    assert f"tandem train {command} --config {name} -o " in text


def test_small_is_twelve_layers_of_256() -> None:
    student = load(DistillSettings, "small-czech-distill").student
    assert (student.layers, student.width, student.architecture) == (12, 256, "bert")


def test_a_wrong_setting_names_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        tandem.main(["train", "distill", "-o", "x", "--set", "run.batchsize=3"])
    assert ended.value.code == 2
    assert "did you mean run.batch_size?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("run.batch_size=0", "batch_size must be at least 1"),
        ("run.warmup=2", "warmup is a share"),
        ("student.heads=5", "width 256 cannot be shared among 5 heads"),
    ],
)
def test_values_out_of_range_are_told(
    change: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        tandem.main(["train", "distill", "-o", "x", "--set", change])
    assert words in capsys.readouterr().err


def test_a_run_without_a_place_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        tandem.main(["train", "mnr"])
    assert ended.value.code == 2
    assert "--out" in capsys.readouterr().err


def test_a_run_without_corpora_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t").mkdir()
    tokenizer = tiny(tmp_path / "t").tokenizer
    with pytest.raises(SystemExit) as ended:
        small = ["--set", "student.layers=1", "--set", "student.width=8"]
        place = ["--set", f"student.tokenizer={tokenizer}", "-o", str(tmp_path / "run")]
        tandem.main(["train", "mnr", *small, *place])
    assert ended.value.code == 2
    assert "no corpus is named" in capsys.readouterr().err


def test_a_whole_run_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pairs(tmp_path / "en-xx.tsv", sentences(300))
    config = tmp_path / "mine.yaml"
    values = {
        "student": dataclasses.asdict(tiny(tmp_path)),
        "corpora": {"files": [{"path": str(tmp_path / "en-xx.tsv")}]},
        "held_out": {"aside": 30},
        "run": {"steps": 40, "batch_size": 32, "evaluate_every": 20, "device": "cpu"},
    }
    config.write_text(yaml.safe_dump(values), "utf-8")
    call = ["train", "mnr", "--config", str(config), "-o", str(tmp_path / "run")]
    tandem.main([*call, "--set", "run.learning_rate=1.0e-3", "--json"])
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result["before"] < 0.3 and result["score"] > 0.8
    assert (tmp_path / "run" / "model" / "modules.json").is_file()
    told = printed.err.splitlines()
    assert any(line.startswith("step 20: score") and line.endswith(" left") for line in told)
