"""Contrastive recipes: each learns what it says it learns, and refuses what it cannot use."""

from __future__ import annotations

import dataclasses
import json
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
import torch
from training_world import sentences, tiny, topic_texts, write_alike, write_pairs

from configs.errors import ConfigError, DocumentError
from configs.training import (
    ContrastiveSettings,
    HeldOutSettings,
    RunSettings,
    StudentSettings,
    TextSettings,
)
from configs.training_corpora import CorporaSettings, CorpusSettings
from indexer.vectors import unit_rows
from training.data.plain_texts import read_scored, read_texts
from training.models.sentence_vectors import sentence_vectors
from training.models.students import open_student
from training.recipes import contrastive as recipe
from training.recipes.contrastive import Objective, contrastive
from training.recipes.infocse import Restorer
from training.recipes.tsdae import without_words
from training.run.device import pick_device, pick_precision
from training.run.progress import QUIET


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_pairs(folder / "en-xx.tsv", sentences(400))
    (folder / "texts.txt").write_text("\n".join(topic_texts(800)), "utf-8")
    return folder


def run(steps: int, rate: float = 1e-3) -> RunSettings:
    return RunSettings(
        steps=steps,
        batch_size=32,
        learning_rate=rate,
        evaluate_every=steps // 2,
        checkpoint_every=steps,
        device="cpu",
    )


def of_texts(world: Path, by: str, steps: int, rate: float) -> ContrastiveSettings:
    return ContrastiveSettings(
        student=tiny(world),
        texts=(TextSettings(str(world / "texts.txt")),),
        held_out=HeldOutSettings(scored=str(write_alike(world / f"{by}.tsv", 200, by))),
        run=run(steps, rate),
    )


def of_pairs(world: Path, steps: int = 50) -> ContrastiveSettings:
    return ContrastiveSettings(
        student=tiny(world),
        corpora=CorporaSettings(files=(CorpusSettings(str(world / "en-xx.tsv")),)),
        held_out=HeldOutSettings(aside=40),
        cache=str(world / "teacher"),
        run=run(steps),
    )


def test_simcse_learns_which_words_tell_sentences_apart(world: Path, tmp_path: Path) -> None:
    """Filler words drown the rest in a new body; what is asked for is likeness by the other words."""
    result = contrastive("simcse", of_texts(world, "words", 120, 2e-3), tmp_path)
    assert result.metric == "spearman"
    assert result.before is not None and result.score is not None
    assert result.before < 0.35
    assert result.score > result.before + 0.3


def test_infocse_restores_masked_tokens_from_the_sentence_vector(
    world: Path, tmp_path: Path
) -> None:
    base = dataclasses.replace(of_texts(world, "words", 120, 2e-3), training_head=True)
    result = contrastive("infocse", base, tmp_path)
    assert result.before is not None and result.score is not None
    assert result.score > result.before + 0.3
    assert {path.name for path in (tmp_path / "model").iterdir()}.isdisjoint({"restorer", "head"})


def test_the_restorers_loss_falls_and_reaches_the_body_through_the_vector_alone(
    world: Path,
) -> None:
    torch.manual_seed(1)
    model = open_student(tiny(world), "cpu", 1)
    restorer = Restorer(model, "tiny")
    texts = topic_texts(64)
    optimizer = torch.optim.Adam([*model.parameters(), *restorer.parameters()], 3e-3)
    losses = []
    for step in range(40):
        vectors = sentence_vectors(model, texts)
        generator = torch.Generator().manual_seed(step)
        loss = restorer(texts, vectors, 0.4, generator)
        if step == 0:
            apart = restorer(texts, vectors.detach(), 0.4, torch.Generator().manual_seed(step))
            body = [p for n, p in model.named_parameters() if "encoder" in n]
            found = torch.autograd.grad(apart, body, allow_unused=True)
            assert all(gradient is None for gradient in found)
            through = torch.autograd.grad(loss, body, retain_graph=True, allow_unused=True)
            assert any(g is not None and g.abs().sum() > 0 for g in through)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("ranking", ["listnet", "listmle"])
def test_rankcse_learns_from_its_teacher_what_belongs_together(
    world: Path, tmp_path: Path, ranking: str
) -> None:
    """Which things are of one topic stands in no text of the corpus; the teacher's ranking knows."""
    base = of_texts(world, "topic", 60, 1e-3)
    settings = dataclasses.replace(
        base,
        teacher="all-MiniLM-L6-v2",
        ranking=ranking,  # type: ignore[arg-type]
        cache=str(world / "teacher"),
    )
    result = contrastive("rankcse", settings, tmp_path)
    assert result.before is not None and result.score is not None
    assert abs(result.before) < 0.2
    assert result.score > 0.5


def test_tsdae_restores_sentences_from_vectors_and_goes_on_after_a_stop(
    world: Path, tmp_path: Path
) -> None:
    open_student(tiny(world), "cpu", 1).save_pretrained(str(tmp_path / "start"))
    start = StudentSettings(model=str(tmp_path / "start"), max_tokens=16)
    base = dataclasses.replace(of_texts(world, "topic", 40, 3e-3), student=start)
    result = contrastive("tsdae", base, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert (
        losses[-1] < 3.5
    )  # nats a token, the mean of all steps; before the first one log(105) = 4.7
    assert Path(result.model, "modules.json").is_file()
    assert contrastive("tsdae", base, tmp_path / "run").steps == 40
    with pytest.raises(ConfigError, match=r"student\.model"):
        contrastive("tsdae", of_texts(world, "topic", 2, 1e-3), tmp_path / "new")


def test_words_are_left_out_in_their_share_and_one_stays() -> None:
    generator = torch.Generator().manual_seed(1)
    text = " ".join(f"w{i}" for i in range(2000))
    kept = without_words(text, 0.6, generator).split()
    assert 0.36 < len(kept) / 2000 < 0.44
    assert kept == sorted(kept, key=lambda word: int(word[1:]))
    assert without_words("alone", 0.99, generator) == "alone"


def test_two_teachers_are_mixed_by_their_similarities(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    of = {name: unit_rows(rng.normal(size=(6, dim))) for name, dim in (("one", 5), ("two", 9))}
    monkeypatch.setattr(recipe, "teach", lambda texts, name, *_: of[name][: len(texts)])
    settings = dataclasses.replace(
        of_texts(world, "topic", 2, 1e-3), teacher="one", second_teacher="two", teacher_share=0.3
    )
    mixed = recipe._teachers_vectors(["a"] * 6, settings, tmp_path, torch.device("cpu"), QUIET)
    wanted = 0.3 * of["one"] @ of["one"].T + 0.7 * of["two"] @ of["two"].T
    np.testing.assert_allclose(mixed @ mixed.T, wanted, atol=1e-6)
    alone = dataclasses.replace(settings, second_teacher="")
    one = recipe._teachers_vectors(["a"] * 6, alone, tmp_path, torch.device("cpu"), QUIET)
    np.testing.assert_array_equal(one, of["one"])
    with pytest.raises(ValueError, match="none is named"):
        dataclasses.replace(settings, teacher="")


@pytest.mark.parametrize("objective", ["infonce", "mnr"])
def test_pairs_teach_translation(world: Path, tmp_path: Path, objective: Objective) -> None:
    settings = dataclasses.replace(of_pairs(world), both_ways=objective == "infonce")
    result = contrastive(objective, settings, tmp_path)
    assert result.metric == "translation accuracy"
    assert result.before is not None and result.score is not None
    assert result.before < 0.2
    assert result.score > 0.9


def test_with_a_teacher_the_student_learns_the_target_side_alone(
    world: Path, tmp_path: Path
) -> None:
    settings = dataclasses.replace(
        of_pairs(world, steps=80), teacher="all-MiniLM-L6-v2", projection="pca"
    )
    result = contrastive("mnr", settings, tmp_path)
    assert result.before is not None and result.before < 0.2
    assert result.score is not None and result.score > 0.8


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_half_precision_learns_too(world: Path, tmp_path: Path, device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    base = of_pairs(world)
    half = dataclasses.replace(base.run, precision="bfloat16", device=device)
    result = contrastive("mnr", dataclasses.replace(base, run=half), tmp_path)
    assert result.score is not None and result.score > 0.9


def test_a_gpu_that_is_not_there_and_float16_on_a_cpu_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"torch sees .* GPUs; use cpu or auto"):
        pick_device("cuda:63")
    with pytest.raises(ConfigError, match="known are auto, cpu, cuda"):
        pick_device("abacus")
    with pytest.raises(ConfigError, match="float16 needs a GPU"):
        pick_precision("float16", torch.device("cpu"))


def test_the_loss_of_two_sentences_is_the_formulas() -> None:
    """Orthogonal pairs at temperature 1/2: log(1 + exp(-2)) for each."""
    from training.recipes.contrastive import softmax_loss

    vectors = torch.eye(2)
    assert softmax_loss(None, 0.5, both_ways=False)([vectors, vectors]).item() == pytest.approx(
        log(1 + exp(-2))
    )
    tilted = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    # cosines [[1, .6], [0, .8]]: rows one way, columns the other, half of each
    rows = (log(1 + exp(2 * (0.6 - 1.0))) + log(1 + exp(2 * (0.0 - 0.8)))) / 2
    columns = (log(1 + exp(2 * (0.0 - 1.0))) + log(1 + exp(2 * (0.6 - 0.8)))) / 2
    both = softmax_loss(None, 0.5, both_ways=True)([vectors, tilted]).item()
    assert both == pytest.approx((rows + columns) / 2)


def test_a_teacher_of_another_width_needs_a_projection(world: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(of_pairs(world), teacher="all-MiniLM-L6-v2")
    with pytest.raises(ConfigError, match="gives 384 dimensions and the student 64"):
        contrastive("mnr", settings, tmp_path)


def test_rankcse_without_a_teacher_and_a_batch_of_one_are_refused(
    world: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="name one in teacher"):
        contrastive("rankcse", of_texts(world, "topic", 2, 1e-3), tmp_path)
    alone = dataclasses.replace(of_pairs(world), run=dataclasses.replace(run(2), batch_size=1))
    with pytest.raises(ConfigError, match="negatives are the batch's other texts"):
        contrastive("mnr", alone, tmp_path)


def test_texts_are_read_by_column_each_once(tmp_path: Path) -> None:
    path = tmp_path / "en-cs.tsv"
    path.write_text("a\tone\tjedna\nb\ttwo\t dvě  tři \nc\tthree\tjedna\n", "utf-8")
    assert read_texts([TextSettings(str(path), column=3)]) == ["jedna", "dvě tři"]
    assert read_texts([TextSettings(str(path), column=2, limit=2)]) == ["one", "two"]


def test_a_missing_column_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "texts.tsv"
    path.write_text("one\tjedna\ntwo\n", "utf-8")
    with pytest.raises(
        DocumentError, match=r"1 of 2 lines .* column 2, the first at line 2: 1 column"
    ):
        read_texts([TextSettings(str(path), column=2)])


def test_scored_pairs_must_hold_numbers(tmp_path: Path) -> None:
    path = tmp_path / "sts.tsv"
    path.write_text("one\tjedna\t5\ntwo\tdvě\tmuch\n", "utf-8")
    with pytest.raises(DocumentError, match="line 2: two texts and a number are needed"):
        read_scored(str(path), 10)
    lines = tmp_path / "sts.jsonl"
    lines.write_text('{"s1": "a", "s2": "b", "score": 1}\n{"s1": "c", "s2": "d", "score": 2}\n')
    assert read_scored(str(lines), 10) == (["a", "c"], ["b", "d"], [1.0, 2.0])


def test_a_batch_that_is_read_in_parts_has_the_gradient_of_the_whole(world: Path) -> None:
    """GradCache: two forward passes of eight texts each in place of one of thirty-two."""
    settings = dataclasses.replace(of_pairs(world), both_ways=True)
    pairs, _ = recipe._pairs("infonce", settings, QUIET)
    assert pairs is not None
    rows = np.arange(24)
    gradients = []
    for at_once in (0, 8):
        model = open_student(settings.student, "cpu", 1).train(False)  # no dropout: comparable
        chosen = dataclasses.replace(settings, read_at_once=at_once)
        loss = recipe._two_texts(model, pairs, None, chosen, "infonce")(rows)
        torch.autograd.backward(loss)
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
        gradients[-1]["loss"] = loss.detach()
    whole, parts = gradients
    assert whole.keys() == parts.keys() and len(whole) > 10
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-4, atol=1e-6)


def test_the_first_dimensions_learn_to_do_by_themselves(world: Path, tmp_path: Path) -> None:
    accuracy = {}
    for name, widths in (("whole", ()), ("nested", (4,))):
        settings = dataclasses.replace(of_pairs(world, 120), matryoshka=widths)
        contrastive("infonce", settings, tmp_path / name)
        model = open_student(StudentSettings(model=str(tmp_path / name / "model")), "cpu", 1)
        fresh = sentences(60, 7)
        with torch.no_grad():
            sides = [sentence_vectors(model, [pair[k] for pair in fresh]) for k in (0, 1)]
        first, second = (unit_rows(side[:, :4].numpy()) for side in sides)
        accuracy[name] = float(((first @ second.T).argmax(1) == np.arange(60)).mean())
    assert accuracy["nested"] > accuracy["whole"] + 0.05


def test_what_does_not_go_together_is_told(world: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"read_at_once 8: .* leave it out of simcse"):
        contrastive(
            "simcse",
            dataclasses.replace(of_texts(world, "words", 2, 1e-3), read_at_once=8),
            tmp_path / "a",
        )
    with pytest.raises(ConfigError, match="matryoshka 4096: the student has"):
        contrastive(
            "infonce", dataclasses.replace(of_pairs(world, 2), matryoshka=(4096,)), tmp_path / "b"
        )
    with pytest.raises(ValueError, match="do not go together"):
        ContrastiveSettings(read_at_once=8, matryoshka=(4,))
